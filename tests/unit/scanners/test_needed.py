"""A rule is left out for a file only when the file lacks a word that the rule cannot match without."""

from __future__ import annotations

import pytest

from evoguard.adapters.scanners.needed import MOST_CHARS, narrowed

RULE = {"id": "python.odd", "metadata": {"source": "said", "needs": ["now|today", r"20\d\d.*|hour"]}}
PLAIN = {"id": "python.eval", "metadata": {"source": "said"}}


def included(*texts: bytes) -> list[str]:
    (rule,) = narrowed([RULE], {f"head/{at}": text for at, text in enumerate(texts)}) or [{"paths": {"include": []}}]
    return rule["paths"]["include"]


def test_each_pattern_needs_a_word_of_its_own():
    assert included(b"a.now() > 2031", b"a.now()", b"x = 2031", b"today.hour", b"") == ["0", "3"]


def test_a_part_of_a_word_is_no_word():
    assert included(b"known > 12031", b"now_ > 2031", b"now > 2031_000") == ["2"]


@pytest.mark.parametrize(
    "text",
    [b"\xff", b"eval(a); // \\u006eow", b"'\\x6eow'", b"a" * (MOST_CHARS + 1)],
    ids=["no text", "an escaped letter", "an escaped byte", "a word of any length"],
)
def test_a_file_that_may_hold_any_word_is_asked_everything(text: bytes):
    assert included(text) == ["0"]


def test_both_sides_of_a_file_are_asked_when_one_of_them_needs_it():
    files = {"head/0/file.py": b"", "base/0/file.py": b"now 2031", "head/1/file.py": b""}
    assert narrowed([RULE], files)[0]["paths"] == {"include": ["0/file.py"]}


def test_a_rule_that_no_file_needs_is_left_out_and_one_that_says_nothing_is_asked_of_all():
    assert narrowed([RULE, PLAIN], {"head/0/file.py": b"x = 1"}) == [PLAIN]


def test_the_rules_themselves_stay_as_they_are():
    narrowed([RULE], {"head/0": b"now 2031"})
    assert "paths" not in RULE
