"""A new way round what was done always, an effect and a fixed argument that are gone are told; what moved is not."""

from __future__ import annotations

import pytest

from evoguard.looks.turns import ARGUMENT, EFFECT, MOST_HITS, ROUND, turns

RECORD = """def record(user, what):
    row = make(user, what)
    store.keep(row)
"""
ROUND_IT = RECORD.replace("    row", '    if user == "svc":\n        return\n    row')
UNPACK = """def unpack(a):
    a.extractall("x", filter="data")
"""


def told(old: str, new: str, path: str = "src/a.py") -> list[str]:
    return [hit.rule for hit in turns({path: old.encode()}, {path: new.encode()}, [(path, path)])]


def test_a_way_round_on_a_fixed_value_is_told() -> None:
    assert told(RECORD, ROUND_IT) == [ROUND]
    assert told(RECORD, ROUND_IT.replace('user == "svc"', "user in QUIET")) == [ROUND]
    assert told(ROUND_IT, RECORD) == []


@pytest.mark.parametrize("condition", ["not user", "user is None", "len(what) == 0", "user != what"])
def test_a_way_out_for_nothing_is_not(condition: str) -> None:
    assert told(RECORD, ROUND_IT.replace('user == "svc"', condition)) == []


def test_an_effect_that_is_gone_is_told_and_one_that_moved_is_not() -> None:
    assert told(RECORD, RECORD.replace("store.keep(row)", "pass")) == [EFFECT]
    moved = "def keep_it(row):\n    store.keep(row)\n" + RECORD.replace("store.keep(row)", "keep_it(row)")
    assert told(RECORD, moved) == []
    assert told(RECORD.replace("store.keep", "LOG.info"), RECORD.replace("store.keep(row)", "pass")) == []


def test_a_fixed_argument_that_is_gone_is_told() -> None:
    assert told(UNPACK, UNPACK.replace(', filter="data"', "")) == [ARGUMENT]
    assert told(UNPACK, UNPACK.replace('"data"', '"tar"')) == [ARGUMENT]
    assert told(UNPACK, "def unpack(a):\n    other(a)\n") == [EFFECT]
    assert told(UNPACK.replace("data", "a long text"), UNPACK.replace("data", "another text")) == []


def test_bad_input_tests_and_other_languages_say_nothing_and_the_list_is_bounded() -> None:
    assert told(RECORD, "def (") == []
    assert told(RECORD, ROUND_IT, "tests/test_a.py") == []
    assert told(RECORD, ROUND_IT, "a.js") == []
    many = [text.replace("record", "r{n}") for text in (RECORD, ROUND_IT)]
    old, new = ("".join(text.replace("{n}", str(n)) for n in range(99)) for text in many)
    assert len(told(old, new)) == MOST_HITS
