"""What other rules would have said: each pair of answers is one turn, and the worst comes first."""

from __future__ import annotations

import json

import pytest

from evoguard.domain.backtest import Recorded, Tally, Turned, turned
from evoguard.domain.verdict import Decision, Finding


def then(allow: bool, *denied: str) -> Recorded:
    return Recorded("ch-0", "review", 1, "sha256:x", {}, allow, frozenset(denied))


def now(*denied: str) -> Decision:
    return Decision(not denied, tuple(Finding(code, "m") for code in denied), (), 1, (), ("a",))


def tallied(*turns: Turned) -> Tally:
    tally = Tally(1)
    for one in turns:
        tally.add(one)
    return tally


@pytest.mark.parametrize(
    ("was", "answer", "turn", "fires", "silent"),
    [
        (then(True), now(), "unchanged", (), ()),
        (then(False, "a"), now("a", "a"), "unchanged", (), ()),
        (then(True), now("b", "a"), "newly denied", ("a", "b"), ()),
        (then(False, "a"), now(), "newly allowed", (), ("a",)),
        (then(False, "a"), now("b"), "other reasons", ("b",), ("a",)),
        (then(False, "a"), None, "no verdict", (), ()),
        (then(True), None, "no verdict", (), ()),
    ],
)
def test_each_pair_of_answers_is_one_turn(was, answer, turn, fires, silent):
    seen = turned(was, answer, "out of fuel")
    assert (seen.turn, seen.fires, seen.silent) == (turn, fires, silent)
    assert seen.why == ("out of fuel" if answer is None else "")


def test_what_cannot_be_asked_again_says_why():
    lost = Recorded("ch-1", "admit", 1, why="the artifact is missing")
    assert turned(lost, None).why == "the artifact is missing"


def test_a_summary_counts_all_and_shows_the_worst():
    turns = [turned(then(True), now("a")), turned(then(True), now()), turned(then(False, "b"), now())]
    doc = tallied(*turns).summary()
    assert doc["decisions"] == 3
    assert doc["turns"] == {
        "newly allowed": 1, "no verdict": 0, "newly denied": 1, "other reasons": 0, "unchanged": 1,
    }  # fmt: skip
    assert doc["rules"] == [{"code": "a", "fires": 1, "silent": 0}, {"code": "b", "fires": 0, "silent": 1}]
    assert [one["turn"] for one in doc["examples"]] == ["newly allowed"]
    assert doc["omitted"] == 1


@pytest.mark.parametrize(
    ("was", "answer", "says"),
    [(then(True), now("a"), False), (then(False, "a"), now(), True), (then(False, "a"), None, True)],
)
def test_newly_allowed_and_no_verdict_loosen(was, answer, says):
    assert tallied(turned(was, answer)).loosens is says


def test_a_tally_stopped_and_gone_on_with_is_the_same_as_one_in_one_go():
    turns = [turned(then(True), now("a")), turned(then(False, "b"), now()), turned(then(True), now("a", "c"))] * 3
    for cut in range(len(turns)):
        again = Tally.from_json(json.loads(json.dumps(tallied(*turns[:cut]).as_json())), most=1)
        for one in turns[cut:]:
            again.add(one)
        assert again.summary() == tallied(*turns).summary()


def test_a_tally_is_as_large_for_many_as_for_few():
    few, many = (len(json.dumps(tallied(*([turned(then(True), now("a"))] * n)).as_json())) for n in (10, 90))
    assert few == many


@pytest.mark.parametrize(
    "doc",
    [
        {}, {"turns": [], "fires": {}, "silent": {}, "examples": {}},
        {"turns": {"unchanged": -1}, "fires": {}, "silent": {}, "examples": {}},
        {"turns": {"unchanged": True}, "fires": {}, "silent": {}, "examples": {}},
        {"turns": {"fine": 1}, "fires": {}, "silent": {}, "own": 0, "examples": {}},
        {"turns": {}, "fires": {}, "silent": {}, "own": 0, "examples": []},
        {"turns": {}, "fires": {}, "silent": {}, "own": -1, "examples": {}},
        {"turns": {}, "fires": {}, "silent": {}, "examples": {}},
    ],
)  # fmt: skip
def test_what_is_no_tally_is_not_gone_on_with(doc):
    with pytest.raises(ValueError, match=r"no table of counts|another kind|own is no count"):
        Tally.from_json(doc, most=1)
