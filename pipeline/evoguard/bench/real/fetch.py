"""`python -m evoguard.bench.real.fetch`: bring every listed package and dependency layer into the tool cache."""

from __future__ import annotations

import sys

from evoguard.bench.real import layers, listing
from evoguard.bench.real.sdists import sdist
from evoguard.errors import EvoguardError, UnavailableError
from evoguard_sandbox import SandboxError

NOT_HAD = frozenset({"layer.fetch_failed", "layer.no_pip"})
"""Everything else that goes wrong is no want of network."""


def main() -> int:
    """Fetch what is missing and verify what is there: 1 when something cannot be had, 2 when something is not it."""
    worst = 0
    for suite in listing().suites:
        try:
            sdist(suite)
            layers(suite)
        except (EvoguardError, SandboxError) as err:
            sys.stderr.write(f"{suite.title}: {err}\n")
            worst = max(worst, 1 if isinstance(err, UnavailableError) or err.code in NOT_HAD else 2)
    return worst


if __name__ == "__main__":
    sys.exit(main())
