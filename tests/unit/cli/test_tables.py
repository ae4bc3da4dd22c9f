"""Tables use the room that there is, and break no id."""

from __future__ import annotations

import re
import sys

import pytest

from evoguard.cli.text import table

NAMES = ("change", "status", "author", "updated", "intent", "digests")
ROW = ("ch-0123456789ab", "waiting for approval", "coder", "2026-11-24T23:20:00.123Z", "make the rule fairer " * 8,
       "base=aaaaaaaaaaaa head=bbbbbbbbbbbb")  # fmt: skip


@pytest.fixture
def printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def at(columns: int, row: tuple[str, ...] = ROW) -> list[str]:
        for name, value in (("COLUMNS", str(columns)), ("TERM", "xterm"), ("NO_COLOR", "1")):
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        table(NAMES, [row])
        return re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()

    return at


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 120, 200])
def test_no_id_is_broken_or_cut_at_any_width(printed, columns: int):
    said = "\n".join(printed(columns))
    assert all(word in said for word in ("ch-0123456789ab", "2026-11-24T23:20:00.123Z", *ROW[5].split()))
    assert said.count("fairer") == 8


@pytest.mark.parametrize("columns", [100, 120, 200])
def test_a_table_uses_the_terminal_and_not_more(printed, columns: int):
    rows = printed(columns)
    assert max(map(len, rows)) == columns
    assert rows[0].split() == list(NAMES)


def test_a_terminal_that_is_too_narrow_gets_names_and_values(printed):
    rows = printed(60)
    assert rows[0].split() == ["change", "ch-0123456789ab"]
    assert len([row for row in rows if row]) == len(NAMES)


def test_what_is_not_a_terminal_gets_wide_lines(capsys: pytest.CaptureFixture[str]):
    table(NAMES, [ROW])
    row = next(row for row in capsys.readouterr().out.splitlines() if "ch-" in row)
    assert "waiting for approval" in row
    assert ROW[5] in row
