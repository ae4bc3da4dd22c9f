"""Hold the shipped policy bundle to its sources, without OPA: print each file that differs and fail."""

from __future__ import annotations

import sys
from pathlib import Path

from evoguard import bundle
from evoguard.errors import IntegrityError

POLICIES = Path(__file__).resolve().parent.parent / "policies"


def main() -> int:
    """Print stale files and the mend; exit 1 when there is one, or when the bundle itself does not hold."""
    try:
        stale = bundle.stale_sources(POLICIES)
        bundle.sources()
    except IntegrityError as err:
        stale = [err.message]
    print("\n".join(stale) or "   the policy bundle is built from these sources")
    if stale:
        print(f"mend: {bundle.MEND}", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
