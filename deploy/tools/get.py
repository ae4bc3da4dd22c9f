"""Print the path of each tool asked for, building what is missing; `evoguard tools get` is the same for people.

get.py opa fulcio        # one path a line
get.py --lock opa        # (re)write its lock from evoguard/tools/tools.toml
get.py --all --time      # everything, with seconds and sizes
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from pathlib import Path

from evoguard.adapters import go_tools
from evoguard.adapters.go_tools import Tool
from evoguard.errors import EvoguardError


def write_lock(tool: Tool) -> None:
    """Write go.mod and go.sum of one tool; a failure leaves the old ones."""
    aside, spec = go_tools.cache() / "lock" / tool.name, tool.spec  # a failed lock leaves nothing behind
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    replaced = "".join(f"replace {a} => {b}\n" for a, b in spec.get("replace", {}).items())
    what = "" if "source" in spec else f"tool {tool.package}\n\n"
    (aside / "go.mod").write_text(
        f"module evoguard.invalid/tools/{tool.name}\n\ngo 1.26\n\n{what}"
        f"require {spec['module']} {tool.version}\n{replaced}"
    )
    # -mod=mod writes the missing requirements and hashes
    go_tools.build(go_tools.find_go(), tool, aside / tool.name, say, lock=aside, mod="mod")
    tool.lock.mkdir(parents=True, exist_ok=True)
    for name in ("go.mod", "go.sum"):
        shutil.copy((aside / "src" if "source" in spec else aside) / name, tool.lock / name)


def say(text: str) -> None:
    """Say what is missing and has to be fetched first; the modules one by one are for people who wait at a terminal."""
    if "modules fetched" not in text:
        print(text, file=sys.stderr)


def one(name: str, *, relock: bool) -> Path:
    """Return one tool's binary. Raises: EvoguardError."""
    tool = go_tools.named(name)
    if relock or not (tool.lock / "go.sum").exists():
        write_lock(tool)
    return go_tools.get(tool, say)


def main() -> None:
    """Print the path of each tool asked for; exit 1 when one cannot be had."""
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--lock", action="store_true")
    parser.add_argument("--time", action="store_true")
    asked = parser.parse_args()
    failed = False
    for name in go_tools.known() if asked.all else asked.names:
        began = time.monotonic()
        try:
            exe = one(name, relock=asked.lock)
        except EvoguardError as err:
            print(f"{name}: {err.message}  → {err.fix}", file=sys.stderr)
            failed = True
            continue
        took = f"\t{time.monotonic() - began:.1f} s\t{exe.stat().st_size / 1e6:.0f} MB"
        print(f"{exe}{took if asked.time else ''}", flush=True)
    if failed:
        sys.exit(1)


if __name__ == "__main__":
    main()
