"""What a change brings, as `evoguard evidence` prints it."""

from __future__ import annotations

import json

import pytest

from evoguard.cli.brings_page import brings_page
from evoguard.supply.inspection import NOT_INSPECTED
from evoguard.supply.osv import kept
from evoguard.supply.vulnerable import vulnerable
from unit.supply.given_trees import HASH, looked_at
from unit.supply.test_osv import EVIL, entry

LOCK = f"evil-made-up==1.2 {HASH}\nreqeusts\na b c\n"


def test_every_kind_of_finding_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    head = {"requirements.txt": LOCK, "a.min.js": "x", "tests/test_a.py": "@pytest.mark.skip\ndef test_a(): ...\n"}
    found = looked_at({}, head)
    rows, _ = vulnerable(found, {EVIL: [one.row for one in kept(entry())]})
    brings_page(
        {**NOT_INSPECTED, **json.loads(json.dumps(found.as_json())), "vulnerable": json.loads(json.dumps(rows))}
    )
    out = capsys.readouterr().out
    for text in ("none database", "evil-made-up", "1.2", "floating", "looks like requests (one edit)", "MADE-UP-1 high",
                 "no requirement: a b c", "blob.minified", "tests.skipped", "requirements.txt:1"):  # fmt: skip
        assert text in out


@pytest.mark.parametrize("doc", [None, {}, 7])
def test_a_run_without_an_inspection_prints_nothing(doc: object, capsys: pytest.CaptureFixture[str]) -> None:
    brings_page(doc)
    assert capsys.readouterr().out == ""


def test_text_of_a_candidate_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    found = looked_at({}, {"requirements.txt": "\x1b[31mred\u202e==1\n"})
    brings_page({**NOT_INSPECTED, **json.loads(json.dumps(found.as_json()))})
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "\u202e" not in out
