"""A small package whose one module is another in the candidate, judged by its own tests and by held-out ones."""

from __future__ import annotations

import asyncio

from evoguard_sandbox import Limits, Room, Suite, SuiteReport, run

LIMITS = Limits(wall_s=60)


def tree(files: dict[str, str]) -> dict[str, tuple[int, bytes]]:
    """Return plain files as the sandbox takes them."""
    return {path: (0o100644, text.encode()) for path, text in files.items()}


def judged(room: Room, right: str, code: str | dict[str, str], *, seen: str, held: str = "") -> SuiteReport:
    """Judge `code`, the text of `shop.calc` or some files, against `right` by the tests `seen`, and by those `held`."""
    calc = "src/shop/calc.py"
    base = tree({"src/shop/__init__.py": "", calc: right, "tests/test_calc.py": seen})
    candidate = {**base, **tree({calc: code} if isinstance(code, str) else code)}
    hidden = tree({"tests/test_held.py": held} if held else {})
    return asyncio.run(run(Suite(base, candidate, held_out=hidden), limits=LIMITS, room=room))
