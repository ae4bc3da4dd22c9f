"""Compile policies/ into pipeline/evoguard/bundle, the bundle that ships. `evoguard policy build` is for any other.

    build_policies.py                 # rebuild the shipped bundle
    build_policies.py --out FOLDER    # build beside it, to compare
    build_policies.py --capabilities  # after an OPA upgrade: refresh the declarations of the builtins that are allowed

The result depends on the sources and on OPA's version only, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from evoguard import bundle
from evoguard.adapters import go_tools
from evoguard.authoring.builder import Builder, write
from evoguard.authoring.opa import at_work
from evoguard.errors import EvoguardError

ROOT = Path(__file__).resolve().parent.parent
POLICIES = ROOT / "policies"
SHIPPED = ROOT / "pipeline" / "evoguard" / "bundle"


def find_opa() -> Path:
    """Return the pinned OPA, building it when it is not in the tool cache. Raises: EvoguardError."""
    return go_tools.get(go_tools.named("opa"), lambda text: print(text, file=sys.stderr))


def refresh_capabilities(builder: Builder, policies: Path) -> None:
    """Rewrite capabilities.json from OPA's own list, keeping exactly the builtins that it allows now."""
    path = policies / "capabilities.json"
    allowed = {one["name"] for one in json.loads(path.read_text())["builtins"]}
    with at_work(builder.opa, builder.sources) as opa:
        new = opa.json("capabilities", "--current")
    new["builtins"] = sorted((one for one in new["builtins"] if one["name"] in allowed), key=lambda one: one["name"])
    if lost := allowed - {one["name"] for one in new["builtins"]}:
        raise SystemExit(f"this OPA lacks {sorted(lost)}")
    path.write_text(json.dumps({**new, "allow_net": [], "future_keywords": []}, indent=1, sort_keys=True) + "\n")


def main() -> None:
    """Build, write, and print the digest that names the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--opa", type=Path, help="an OPA binary instead of the pinned one")
    parser.add_argument("--policies", type=Path, default=POLICIES)
    parser.add_argument("--out", type=Path, default=SHIPPED)
    parser.add_argument("--capabilities", action="store_true")
    args = parser.parse_args()
    try:
        builder = Builder(args.opa or find_opa(), args.policies)
        if args.capabilities:
            refresh_capabilities(builder, args.policies)
            return
        files = builder.files()
        write(files, args.out)
    except EvoguardError as err:
        raise SystemExit(f"{err.message}  → {err.fix}") from err
    doc = json.loads(files[bundle.MANIFEST])
    sizes = ", ".join(f"{name} {len(raw):,} bytes" for name, raw in files.items())
    print(f"{doc['digest']}\n{len(doc['rules'])} rules, {len(doc['tests'])} tests; {sizes}")


if __name__ == "__main__":
    main()
