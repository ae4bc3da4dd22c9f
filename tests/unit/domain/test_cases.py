"""Declared requests: what may be declared, what a case file may hold, which differences are told under which code."""

from __future__ import annotations

import json
from typing import Any

import pytest

from evoguard.domain.cases import ANY_SLOWER, Case, Declared, cases_of, declared, declared_of
from evoguard.domain.component import parse
from evoguard.domain.regression import CODES, Answer, Answers, Regression, compare, cut, findings
from evoguard.errors import InputError

TABLE: dict[str, Any] = {"kind": "callable", "target": "a.b:c", "file": "cases/a.json"}
DECLARED = Declared("scoring", "callable", "a.b:c", "cases/a.json")
CASE = Case("a loan", {"args": [1], "kwargs": {}})


def test_a_declaration_goes_through_facts_and_back():
    one = declared("scoring", {**TABLE, "refuse": ["a.b:send"], "ignore": ["at"], "time_percent": 150})
    assert one is not None
    assert declared_of([one.as_json()]) == (one,)
    assert declared("scoring", None) is None
    assert declared_of(None) == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": "cgi"}, {"target": "a.b"}, {"target": "a b:c"}, {"target": "a:b()"}, {"file": "/etc/x.json"},
        {"file": "../x.json"}, {"file": "cases/a.py"}, {"refuse": "a:b"}, {"refuse": ["a"]}, {"ignore": [1]},
        {"time_percent": 100}, {"time_percent": True}, {"more": 1}, {"ignore": ["x"] * 51},
    ],
)  # fmt: skip
def test_a_declaration_that_cannot_be_meant_is_an_error(changes):
    with pytest.raises(ValueError, match=r"component\.scoring\.cases"):
        declared("scoring", {**TABLE, **changes})
    with pytest.raises(ValueError, match=r"component\.scoring\.cases"):
        declared("scoring", "cases")


def test_a_component_file_names_cases_and_guards_their_file():
    text = b'version = 1\n[component.a]\n[component.a.cases]\nkind = "asgi"\ntarget = "a:app"\nfile = "c.json"\n'
    rules = parse(text)
    assert [one.file for one in rules.cases()] == ["c.json"]
    assert rules.tighten()["guard"] == ["c.json"]
    assert "cases" not in rules.components[0].as_json()
    with pytest.raises(InputError, match="kind is one of"):
        parse(text.replace(b"asgi", b"cgi"))


def a_file(*cases: object, **more: object) -> bytes:
    return json.dumps({"version": 1, "cases": list(cases), **more}).encode()


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"[]", b"\xff", b"[" * 100_000, a_file(), a_file(more=1), a_file({"name": "a"}),
        a_file({"name": "", "request": {}}), a_file({"name": "e\u0301", "request": {}}),
        a_file({"name": "a", "request": []}), a_file({"name": "a", "request": {"args": 1}}),
        a_file({"name": "a", "request": {}}, {"name": "a", "request": {}}),
        a_file({"name": "a", "request": {}, "response": {}}),
        a_file({"name": "a", "request": {}, "response": {"value": 1, "raised": "E"}}),
        a_file({"name": "a", "request": {}, "response": {"status": 200}}),
        a_file({"name": "a", "request": {"args": ["x" * 70_000]}}), b" " * 300_000,
    ],
)  # fmt: skip
def test_a_case_file_that_is_not_wholly_readable_is_none(raw):
    with pytest.raises(ValueError, match=r"\w"):
        cases_of(raw, "callable")


@pytest.mark.parametrize(
    "request_",
    [
        {"path": "a"}, {"path": "/a", "method": "get"}, {"path": "/a", "body": "x", "json": 1}, {"path": "/a", "at": 1},
        {"path": "/a", "headers": {"a b": "c"}}, {"path": "/a", "headers": {"a": "c\r\nd"}}, {"path": "/a\n"},
        {"path": "/a", "query": "\u00e9"}, {"path": "/a", "body": {}},
    ],
)  # fmt: skip
def test_a_request_that_is_none_is_an_error(request_):
    with pytest.raises(ValueError, match="case 'a'"):
        cases_of(a_file({"name": "a", "request": request_}), "asgi")


def test_an_object_is_sent_as_json():
    (case,) = cases_of(
        a_file({"name": "a", "request": {"path": "/a", "json": {"x": 1}, "headers": {"X-A": "1"}}}), "asgi"
    )
    assert case.request == {
        "method": "GET", "path": "/a", "query": "", "headers": {"content-type": "application/json", "x-a": "1"},
        "body": '{"x": 1}',
    }  # fmt: skip


def an(kind: str = "answer", wall_us: int = 1000, refused: int = 0, **parts: str) -> Answer:
    return Answer(kind, parts, wall_us, 0, refused)


def code(was: tuple[Answer, Answer], now: tuple[Answer, Answer], *, case: Case = CASE, one: Declared = DECLARED) -> str:
    base, candidate = (Answers(tuple((a,) for a in rounds)) for rounds in (was, now))
    (row,) = compare(one, [case], base, candidate)
    told = findings(one, [row], base, candidate)
    assert [found.code for found in told] == ([row.code] if row.code else [])
    return row.code.removeprefix("regression.")


ONE, TWO, RAISED = an(value="1"), an(value="2"), an(raised="KeyError")


@pytest.mark.parametrize(
    ("was", "now", "wanted"),
    [
        ((ONE, ONE), (ONE, ONE), ""),
        ((ONE, ONE), (TWO, TWO), "answer"),
        ((ONE, ONE), (ONE, TWO), "answer"),
        ((ONE, TWO), (ONE, ONE), "unstable"),
        ((ONE, ONE), (ONE, RAISED), "error"),
        ((RAISED, RAISED), (RAISED, RAISED), ""),
        ((RAISED, RAISED), (ONE, ONE), "answer"),
        ((ONE, ONE), (ONE, an("hung")), "error"),
        ((ONE, ONE), (an("died"), an("died")), "error"),
        ((ONE, ONE), (ONE, an("unrun")), "not_run"),
        ((ONE, ONE), (an("unreadable", why="x"), ONE), "not_run"),
        ((an("hung"), an("hung")), (ONE, ONE), "not_run"),
        ((an("hung"), an("hung")), (an("hung"), an("hung")), "not_run"),
        ((an("unrun"), an("unrun")), (an("unrun"), an("unrun")), "not_run"),
        ((ONE, ONE), (an(value="1", refused=1), an(value="1", refused=1)), "effect"),
        ((ONE, ONE), (an(value="1", wall_us=200_000),) * 2, "time"),
        ((ONE, ONE), (an(value="1", wall_us=200_000), ONE), ""),
        ((ONE, ONE), (an(value="1", wall_us=90_000),) * 2, ""),
        ((an(status="200"),) * 2, (an(status="503"),) * 2, "error"),
        ((an(status="200"),) * 2, (an(status="404"),) * 2, "answer"),
    ],
)
def test_each_difference_has_its_code(was, now, wanted):
    assert code(was, now) == wanted


def test_a_pinned_answer_is_held_to_its_text_and_a_base_that_does_not_give_it_makes_it_stale():
    pinned = Case("a", {"args": []}, {"value": 1})
    assert code((ONE, ONE), (ONE, ONE), case=pinned) == ""
    assert code((ONE, ONE), (ONE, TWO), case=pinned) == "pinned"
    assert code((ONE, ONE), (RAISED, RAISED), case=pinned) == "pinned"
    assert code((TWO, TWO), (TWO, TWO), case=pinned) == "stale"
    assert code((TWO, TWO), (ONE, ONE), case=pinned) == "stale"
    assert code((TWO, TWO), (RAISED, RAISED), case=pinned) == "error"
    status = Case("a", {}, {"status": 200, "json": {"b": 1, "a": 2}})
    answer = an(status="200", body='{"a":2,"b":1}')
    assert code((answer, answer), (answer, answer), case=status) == ""


def test_time_can_be_left_out_and_is_then_not_told():
    one = Declared("scoring", "callable", "a.b:c", "cases/a.json", time_percent=ANY_SLOWER)
    assert code((ONE, ONE), (an(value="1", wall_us=4_000_000),) * 2, one=one) == ""


@pytest.mark.parametrize("missing", [Answers(), Answers(((ONE,),)), Answers(((ONE,), ())), Answers((), "it ended")])
@pytest.mark.parametrize("side", ["base", "candidate"])
def test_an_answer_that_is_missing_is_a_finding(missing, side):
    whole = Answers(((ONE,), (ONE,)))
    base, candidate = (missing, whole) if side == "base" else (whole, missing)
    rows = compare(DECLARED, [CASE], base, candidate)
    assert [found.code for found in findings(DECLARED, rows, base, candidate)] == ["regression.not_run"]


def test_what_code_wrote_is_told_in_a_form_that_every_reader_reads_alike():
    bad = an(value="e\u0301\ud800\x00" + "x" * 500)
    text = bad.words
    assert len(text) <= 120
    assert text.startswith("\u00e9??x")


def test_long_answers_stay_different_when_they_are_cut():
    long = "x" * 10_000
    assert cut(long + "a") != cut(long + "b")
    assert len(cut(long)) < 5000


def test_findings_are_bounded_and_the_worst_come_first():
    from evoguard.domain.regression import Difference

    many = tuple(Difference(c, "a", f"{n}", "x") for n in range(60) for c in ("regression.time", "regression.error"))
    doc: dict[str, Any] = dict(Regression("complete", findings=many).as_json())
    assert (len(doc["findings"]), doc["omitted"]) == (100, 20)
    assert {f["code"] for f in doc["findings"][:60]} == {"regression.error"}
    assert CODES[0] == "regression.not_run"
