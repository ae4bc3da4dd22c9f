"""The reader of Python source: what it says, and what is left to say when it dies."""

from __future__ import annotations

import sys

import pytest

from evoguard.adapters import syntax as adapter
from evoguard.adapters.syntax import DIED, UNREAD, SyntaxReader
from evoguard.impact import syntax

ANSWER = 'print(\'{"imports": [], "symbols": {}, "why": "", "words": []}\', flush=True)'
ONCE = f"import sys; sys.stdin.buffer.read(1); {ANSWER}"
"""A reader that answers one file and is gone."""


def test_symbols_are_told_by_their_lines() -> None:
    one = syntax.read(b"import a\nclass C:\n    @x\n    def m(self):\n        return 1\n\ndef f():\n    return 2\n")
    two = syntax.read(b"import a\nclass C:\n    @y\n    def m(self):\n        return 1\n\ndef f():\n    return 2\n")
    assert set(one["symbols"]) == {"C", "C.m", "f", syntax.MODULE}
    assert {name for name in one["symbols"] if one["symbols"][name] != two["symbols"][name]} == {"C", "C.m"}


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_line_ends_move_no_symbol(line_end: bytes) -> None:
    text = b"def f():\n    return 1\n\ndef g():\n    return 2\n"
    assert syntax.read(text.replace(b"\n", line_end))["symbols"] == syntax.read(text)["symbols"]


def test_names_are_those_that_python_would_import() -> None:
    assert syntax.read("import \uff50rice\nfrom . import \ufb01le\n".encode())["imports"] == [
        (0, "price", []), (1, "", ["file"]),
    ]  # fmt: skip


@pytest.mark.parametrize("raw", [b"x = 1\n" * 100_000, b"def f(:", b"\0", b"\xff", b"# coding: nonsense\n"])
def test_what_cannot_be_read_says_why_and_which_words_it_holds(raw: bytes) -> None:
    said = syntax.read(raw)
    assert said["why"]
    assert said["imports"] == []


def test_too_many_words_may_be_any() -> None:
    assert syntax.read(b"(" + b" ".join(b"w%d" % n for n in range(3_000)))["words"] is None


async def test_a_reader_that_dies_costs_one_file_and_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_COMMAND", (sys.executable, "-c", ONCE))
    found = await SyntaxReader().read([b"x"] * 5)
    assert [one.why for one in found] == ["", DIED, "", DIED, ""]


async def test_readers_are_not_started_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_COMMAND", (sys.executable, "-c", "pass"))
    found = await SyntaxReader().read([b"x"] * 20)
    assert [one.why for one in found] == [DIED] * adapter.MOST_STARTS + [UNREAD] * (20 - adapter.MOST_STARTS)
    assert all(one.words is None for one in found)


@pytest.mark.parametrize("line", ["[]", "{}", "7", '{"imports": 1, "symbols": {}, "why": "", "words": []}', "x" * 99])
async def test_an_answer_that_is_none_is_a_death(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    monkeypatch.setattr(adapter, "_COMMAND", (sys.executable, "-c", f"print({line!r}, flush=True)"))
    assert (await SyntaxReader().read([b"x"]))[0].why == DIED


async def test_no_time_is_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter, "_COMMAND", (sys.executable, "-c", "import time; time.sleep(60)"))
    assert [one.why for one in await SyntaxReader(wall_s=0.3).read([b"x", b"y"])] == [UNREAD] * 2
