"""What loosens, what tightens, and what cannot be told: arithmetic on two bundles and two answers."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from evoguard import bundle
from evoguard.adapters.opa_wasm import OpaWasmPolicies, question_bytes
from evoguard.authoring import catalogue, comparing, questions
from evoguard.authoring.comparing import Side, Turned
from evoguard.domain.verdict import Decision, Finding

RULE = '# METADATA\n# title: t\npackage evoguard.rules.a.b\n\ndeny contains "x" if input.n > 3\n'
SIDE = Side(
    "sha256:a", {"a/b.rego": RULE, "lib/lib.rego": "package lib\n", "data.json": "{}"},
    {"limits": {"n": 3}, "exemptions": [], "shadow": [], "rules": ["a.b"]}, {"s.x": {"id": "s.x", "severity": "ERROR"}},
    {"a.b": "deny"}, {"a.b": ["input.n"]},
)  # fmt: skip
DENIED, OTHER = Finding("a.b", "m", "p"), Finding("a.c", "m", "p")


def says(deny: tuple[Finding, ...] = (), escalate: tuple[Finding, ...] = (), quorum: int = 1) -> Decision:
    return Decision(not deny, deny, escalate, quorum, (), ("a.b",))


@pytest.mark.parametrize(
    ("a", "b", "turn", "looser", "tighter"),
    [
        (says(), says(), "unchanged", set(), set()),
        (says((DENIED,)), says((replace(DENIED, msg="other words"),)), "unchanged", set(), set()),
        (says((DENIED,)), says(), "newly allowed", {"a.b"}, set()),
        (says(), says((DENIED,)), "newly denied", set(), {"a.b"}),
        (says((DENIED,)), says((), (DENIED,)), "newly allowed", {"a.b"}, set()),
        (says((DENIED, OTHER)), says((DENIED,)), "looser", {"a.c"}, set()),
        (says((DENIED,)), says((OTHER,)), "both", {"a.b"}, {"a.c"}),
        (says((DENIED, replace(DENIED, path="q"))), says((DENIED,)), "looser", {"a.b"}, set()),
        (says((), (DENIED,)), says(), "looser", {"a.b"}, set()),
        (says(quorum=2), says(quorum=1), "looser", {"quorum"}, set()),
        (says(quorum=1), says(quorum=2), "tighter", set(), {"quorum"}),
        (None, None, "unchanged", set(), set()),
        (says((DENIED,)), None, "no verdict", set(), set()),
        (None, says((DENIED,)), "no verdict", set(), set()),
    ],
)  # fmt: skip
def test_a_question_turns(a: Decision | None, b: Decision | None, turn: str, looser: set[str], tighter: set[str]):
    found = comparing.turned(a, b)
    assert (found.turn, found.looser, found.tighter) == (turn, looser, tighter)


@pytest.mark.parametrize(
    ("turns", "loosening", "new", "word"),
    [
        ([Turned("unchanged")], [], False, "nothing differs"), ([], [], False, "nothing differs"),
        ([Turned("no verdict")], [], False, "loosening"), ([Turned("newly allowed")], [], False, "loosening"),
        ([Turned("newly denied")], [], False, "tightening"), ([], ["x"], False, "loosening"),
        ([], [], True, "tightening"), ([Turned("newly denied"), Turned("looser")], [], False, "both"),
        ([Turned("both")], [], False, "both"), ([Turned("newly denied")], ["x"], False, "both"),
        ([Turned("newly denied", frozenset({"a.b"}), frozenset({"a.c"}))], [], False, "both"),
    ],
)  # fmt: skip
def test_one_word_says_which_way(turns: list[Turned], loosening: list[str], new: bool, word: str):
    assert comparing.verdict(turns, loosening, new=new) == word


def with_rule(text: str) -> Side:
    return replace(SIDE, sources={**SIDE.sources, "a/b.rego": text})


def with_data(**parts: object) -> Side:
    return replace(SIDE, data={**SIDE.data, **parts})  # type: ignore[dict-item]  # JSON


@pytest.mark.parametrize(
    ("other", "lines"),
    [
        (SIDE, []),
        (replace(SIDE, severities={}), ["the rule a.b is gone"]),
        (replace(SIDE, severities={"a.b": "deny", "a.c": "deny"}), []),
        (replace(SIDE, severities={"a.b": "note"}), ["the rule a.b is note, it was deny"]),
        (replace(SIDE, severities={"a.b": "constitution"}), []),
        (replace(SIDE, scan={}), ["the scan rule s.x is gone"]),
        (replace(SIDE, scan={"s.x": {"id": "s.x", "severity": "INFO"}}), ["the scan rule s.x is less severe"]),
        (with_data(exemptions=[{}]), ["data.json: exemptions excepts something new, or otherwise"]),
        (with_data(shadow=[{}]), ["data.json: shadow excepts something new, or otherwise"]),
    ],
)  # fmt: skip
def test_what_stands_looser_is_named(other: Side, lines: list[str]):
    assert comparing.loosened(comparing.static(SIDE, other)) == lines


@pytest.mark.parametrize(
    ("other", "fired", "differs", "cannot"),
    [
        (with_rule(RULE.replace("> 3", "> 4")), {}, False, True),
        (with_rule(RULE.replace("> 3", "> 4")), {"a.b": 1}, False, False),
        (with_rule(RULE.replace("title: t", "title: other")), {}, False, False),
        (replace(SIDE, scan={"s.x": {"id": "s.x", "severity": "ERROR", "pattern": "y"}}), {}, True, True),
        (with_data(limits={"n": 4}), {}, False, True), (with_data(limits={"n": 4}), {}, True, False),
        (with_data(limits={"n": 3}, more=1), {}, False, True), (with_data(rules=["a.b", "a.c"]), {}, False, False),
        (replace(SIDE, sources={**SIDE.sources, "lib/lib.rego": "package l"}), {}, False, True),
        (SIDE, {}, False, False),
    ],
)  # fmt: skip
def test_what_no_question_shows_is_unknown(other: Side, fired: dict[str, int], differs: bool, cannot: bool):
    assert bool(comparing.unknown(comparing.static(SIDE, other), fired, differs=differs)) is cannot


def test_what_stands_differently_is_told_with_its_place():
    found = comparing.static(SIDE, replace(with_rule(RULE + "\nx := 1\n"), data={**SIDE.data, "limits": {"n": True}}))
    assert (found.code, found.words, found.values) == (("a.b",), (), (("limits.n", 3, True),))
    text = comparing.text_diff(SIDE, with_rule(RULE + "\nx := 1\n"))
    assert "--- a/a/b.rego" in text
    assert "+x := 1" in text
    long = replace(SIDE, sources={"x.rego": "y\n" * comparing.MOST_TEXT})
    assert len(comparing.text_diff(SIDE, long)) < comparing.MOST_TEXT + 100


SOURCES = bundle.sources()
SCHEMA = json.loads(SOURCES["schema/input.json"])
HINTS = questions.hints([SOURCES["change/unbounded.rego"]], [json.loads(SOURCES["data.json"])], ["input.totals.files"])


async def test_the_questions_that_others_are_made_of_are_allowed():
    rules = OpaWasmPolicies()
    complete = [one for one in questions.generate(SCHEMA, HINTS, 10) if one.about.startswith("complete")]
    assert len(complete) == 3
    assert [(await rules.decide(one.stage, one.doc)).allow for one in complete] == [True] * 3


def test_every_field_is_lost_and_changed_in_some_question_and_all_can_be_asked():
    made = questions.generate(SCHEMA, HINTS, 200_000)
    about = {one.about for one in made}
    for name, part in SCHEMA["properties"].items():
        for way in [name, *(f"{name}.{inner}" for inner in part.get("properties", {}))]:
            assert way == "stage" or f"{way} missing" in about
            assert way == "stage" or any(text.startswith(f"{way} = ") for text in about), way
    assert {"totals.files = 99", "totals.files = 100", "totals.files = 101"} <= about
    for one in made[:: len(made) // 500]:
        assert question_bytes(one.doc)


def test_the_questions_are_the_same_at_every_run_bounded_and_name_what_changed_first():
    one, two = (questions.generate(SCHEMA, HINTS, 500) for _ in range(2))
    assert one == two
    assert len(one) == 500
    assert sum("totals.files" in question.about for question in one) > 200
    assert [len(questions.generate(SCHEMA, HINTS, most)) for most in (1, 2, 3, 7)] == [1, 2, 3, 7]


def test_hints_are_bounded_and_can_be_asked():
    odd = ['x > 41 "' + "long" * 100 + '" "a\u0301" "ok" "ctrl\u0007"', "1.5 007"]
    found = questions.hints(odd, [{"n": [7, True, None, {"m": "t" * 500}], "many": [*range(1000)]}], [])
    assert "ok" in found.texts
    assert 41 in found.numbers
    assert len(found.numbers) <= questions.MOST_NUMBERS
    assert all(len(text) <= questions.TEXT_CHARS for text in found.texts)
    made = questions.generate({}, found, 300)
    assert all(question_bytes(one.doc) for one in made)


def test_a_field_that_the_schema_adds_is_filled_and_varied():
    more = {"type": "object", "properties": {"risk": {"type": "integer"}, "kind": {"enum": ["a", "b"]}}}
    schema = {**SCHEMA, "properties": {**SCHEMA["properties"], "weather": more}}
    made = questions.generate(schema, HINTS, 50_000)
    assert made[0].doc["weather"] == {"risk": 1, "kind": "a"}
    assert any(one.about == 'weather.kind = "b"' for one in made)


def test_the_catalogue_names_every_rule_and_stays_in_its_lines():
    page = catalogue.page(
        {"a.b": {"title": "a | b", "severity": "deny", "description": "<b>\nx", "source": "s"}}, {"a.b": ["input.n"]}
    )
    assert "| `a.b` | deny | a \\| b |" in page
    assert "&lt;b> x" in page
    assert "- reads: `input.n`" in page
