"""A small package whose one module is another in the candidate, judged by its own tests and by held-out ones."""

from __future__ import annotations

import asyncio

from evoguard_sandbox import Limits, Room, Suite, SuiteReport, run

LIMITS = Limits(wall_s=60)


ECHO = """
class Ear:
    __hash__ = None
    def __init__(self, heard): self.heard = heard
    def __eq__(self, other):
        self.heard.append(other)
        return False
class Echo:
    def __init__(self): self.heard, self.begun = [], False
    def __iter__(self): return self
    def __next__(self):
        if not self.begun:
            self.begun = True
            return Ear(self.heard)
        if not self.heard: raise StopIteration
        return self.heard.pop()
"""
"""An iterator that hears what it is compared with, and gives it back."""


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


def judged_unseen(room: Room, right: str, code: str, *, seen: str, others: dict[str, str]) -> SuiteReport:
    """Judge `code` as `judged` does, by held-out tests that are those `seen` with other texts in some places."""
    held = seen
    for old, new in others.items():
        held = held.replace(old, new)
    return judged(room, right, code, seen=seen, held=held)
