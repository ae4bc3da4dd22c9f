"""`policy backtest`, `simulate` and `explain` on decisions that real rules made, under the same rules and others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from contract.policies_suite import a_question
from evoguard import bundle
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain.canonical import digest_of
from evoguard.domain.events import Event
from unit.cli.installed import CHANGE, Installed
from unit.cli.recorded import EXEMPT, HELD, MANY, MANY_TOTALS, WIDE, decided, edited


def test_the_same_rules_say_the_same(past: Installed, rules: OpaWasmPolicies):
    answer = past.json("policy", "backtest", "--check")
    assert answer.code == 0
    assert answer.doc["bundle"] == rules.digest
    assert (answer.doc["decisions"], answer.doc["turns"]["unchanged"]) == (3, 3)
    assert (answer.doc["rules"], answer.doc["examples"], answer.doc["loosens"]) == ([], [], False)


def test_tighter_rules_deny_what_was_allowed_and_the_rule_is_named(past: Installed, tmp_path: Path):
    tight = edited(tmp_path / "tight", max_files=10)
    answer = past.json("policy", "backtest", "--bundle", str(tight), "--check")
    assert answer.code == 0
    assert answer.doc["turns"]["newly denied"] == 1
    assert answer.doc["rules"] == [{"code": "change.unbounded", "fires": 1, "silent": 0}]
    assert [(one["change"], one["fires"]) for one in answer.doc["examples"]] == [(WIDE, ["change.unbounded"])]
    page = past.run("policy", "backtest", "--bundle", str(tight)).out
    assert "newly denied   1" in page
    assert f"{WIDE}" in page


def test_looser_rules_allow_what_was_denied_and_check_says_so(past: Installed, rules: OpaWasmPolicies, tmp_path: Path):
    tight = OpaWasmPolicies(folder=edited(tmp_path / "tight", max_files=10))
    assert not decided(past, tight, CHANGE, files=MANY, totals=MANY_TOTALS)
    answer = past.json("policy", "backtest", "--check")
    assert answer.code == 1
    assert [(one["change"], one["turn"], one["silent"]) for one in answer.doc["examples"]] == [
        (CHANGE, "newly allowed", ["change.unbounded"])
    ]


def test_only_decisions_since_a_day_are_asked(past: Installed):
    assert past.json("policy", "backtest", "--since", "2029-01-01").doc["decisions"] == 1
    none = past.json("policy", "backtest", "--since", "2200-01-01")
    assert (none.code, none.error["code"]) == (2, "policy.no_decisions")


def test_a_decision_that_is_lost_or_spoilt_has_no_verdict_and_says_why(past: Installed):
    for n, doc in enumerate(
        ({"question": 3, "decision": {"allow": True, "deny": []}, "bundle": "x"}, {"question": {}})
    ):
        change = f"ch-00000000001{n}"
        past.submitted(change)
        past.append(Event("change.judged", {"allow": True, "decision": past.put(doc)}), change=change)
    lost = "ch-00000000001a"
    past.submitted(lost)
    past.append(Event("change.judged", {"allow": True, "decision": digest_of(b"never stored")}), change=lost)
    answer = past.json("policy", "backtest", "--check")
    assert answer.code == 1
    assert answer.doc["turns"]["no verdict"] == 3
    assert all(one["why"] for one in answer.doc["examples"])


def test_a_question_of_another_shape_is_asked_and_denied_by_name(past: Installed, rules: OpaWasmPolicies):
    old = {name: part for name, part in a_question().items() if name != "quarantine"}
    stored = past.put({"question": old, "decision": {"allow": True, "deny": []}, "bundle": "sha256:old"})
    past.submitted(CHANGE)
    past.append(Event("change.judged", {"allow": True, "decision": stored}), change=CHANGE)
    answer = past.json("policy", "backtest")
    assert answer.doc["rules"] == [{"code": "input.incomplete", "fires": 1, "silent": 0}]


def test_simulate_shows_one_change_then_and_now(past: Installed, tmp_path: Path):
    tight = edited(tmp_path / "tight", max_files=10)
    doc = past.json("policy", "simulate", WIDE, "--bundle", str(tight)).doc
    (stage,) = doc["stages"]
    assert (stage["stage"], stage["turn"], stage["then"]["allow"], stage["now"]["allow"]) == (
        "review", "newly denied", True, False,
    )  # fmt: skip
    assert [finding["code"] for finding in stage["now"]["deny"]] == ["change.unbounded"]
    page = past.run("policy", "simulate", HELD).out
    assert "review: unchanged" in page
    assert "denied by author.held" in page


def test_explain_tells_of_each_rule_whether_it_spoke(past: Installed, rules: OpaWasmPolicies):
    doc = past.json("policy", "explain", HELD).doc
    (stage,) = doc["stages"]
    says = {rule["code"]: rule["says"] for rule in stage["rules"]}
    assert list(says) == list(rules.manifest.rules)
    assert {code for code, word in says.items() if word != "silent"} == {"author.held"}
    page = past.run("policy", "explain", HELD).out
    assert "author.held" in page
    assert "denies" in page


def test_explain_shows_the_values_that_a_rule_looked_at(past: Installed):
    doc = past.json("policy", "explain", WIDE, "change.unbounded").doc
    (rule,) = doc["stages"][0]["rules"]
    assert (rule["says"], rule["looked_at"]["input.totals.files"], rule["looked_at"]["data.limits.max_files"]) == (
        "silent", "20", "100",
    )  # fmt: skip
    assert "nobody can judge what nobody can read" in rule["description"]
    page = past.run("policy", "explain", WIDE, "change.unbounded").out
    assert "input.totals.files = 20" in page
    (held,) = past.json("policy", "explain", HELD, "author.held").doc["stages"][0]["rules"]
    assert (held["says"], held["looked_at"], [f["code"] for f in held["deny"]]) == (
        "denies", {"input.author.held": "true", "input.author.id": '"coder"'}, ["author.held"],
    )  # fmt: skip


def test_explain_under_other_rules_says_that_they_are_others(past: Installed, rules: OpaWasmPolicies, tmp_path: Path):
    tight = edited(tmp_path / "tight", max_files=10)
    doc = past.json("policy", "explain", WIDE, "change.unbounded", "--bundle", str(tight)).doc
    (stage,) = doc["stages"]
    assert (stage["bundle"], stage["rules"][0]["says"]) == (rules.digest, "denies")
    assert stage["rules"][0]["looked_at"]["data.limits.max_files"] == "10"
    assert f"decided under {rules.digest}" in past.run("policy", "explain", WIDE, "--bundle", str(tight)).out


def test_explain_of_a_field_that_is_not_there_says_so(past: Installed):
    old = {name: part for name, part in a_question().items() if name != "quarantine"}
    past.submitted(CHANGE)
    stored = past.put({"question": old, "decision": {"allow": True, "deny": []}, "bundle": "sha256:old"})
    past.append(Event("change.judged", {"allow": True, "decision": stored}), change=CHANGE)
    (rule,) = past.json("policy", "explain", CHANGE, "evidence.unstable_tests").doc["stages"][0]["rules"]
    assert rule["looked_at"]["input.quarantine"] == "(not there)"


def test_every_rule_says_what_it_looks_at_and_each_place_is_there(rules: OpaWasmPolicies):
    data = json.loads(bundle.load().data)
    known = {"input": a_question("admit"), "data": data}
    for code in rules.manifest.rules:
        places = rules.manifest.reads[code]
        assert places, code
        for place in places:
            value: object = known
            for part in place.split("."):
                assert isinstance(value, dict), place
                assert part in value, place
                value = value[part]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("explain", HELD, "autor.held"), "policy.no_rule"),
        (("explain", "ch-ffffffffffff"), "change.unknown"),
        (("explain", CHANGE), "policy.no_decisions"),
        (("backtest", "--since", "friday"), "usage"),
        (("backtest", "--bundle", "/nonexistent"), "policy.bundle"),
        (("simulate", "ch-ffffffffffff"), "change.unknown"),
        (("simulate", CHANGE), "policy.no_decisions"),
    ],
)
def test_bad_input_is_one_clear_error(past: Installed, words: tuple[str, ...], code: str):
    past.submitted(CHANGE)
    answer = past.json("policy", *words)
    assert answer.code != 0
    assert answer.error["code"] == code
    assert answer.error["fix"]


def test_a_bundle_that_was_edited_by_hand_is_refused(past: Installed, tmp_path: Path):
    broken = edited(tmp_path / "broken", max_files=10)
    (broken / bundle.DATA).write_bytes(b"{}")
    answer = past.json("policy", "backtest", "--bundle", str(broken))
    assert answer.error["code"] == "integrity.policies"


def test_without_any_decision_nothing_was_tried(installed: Installed):
    assert installed.json("policy", "backtest").error["code"] == "policy.no_decisions"


def codes(decision: object) -> set[str]:
    assert isinstance(decision, list)
    return {str(row["code"]) for row in decision}


@pytest.mark.parametrize(
    "parts",
    [
        {"exemptions": [EXEMPT]},
        {"shadow": [{"code": "change.unbounded", "effective_on": "2026-10-01"}]},
    ],
)
def test_what_is_excepted_is_told_by_the_compiled_rules_and_counts_as_loosening(
    past: Installed, tmp_path: Path, parts: dict[str, object]
):
    tight, open_ = edited(tmp_path / "tight", max_files=10), edited(tmp_path / "open", parts, max_files=10)
    denied, lifted = (past.json("policy", "simulate", WIDE, "--bundle", str(b)).doc for b in (tight, open_))
    assert codes(denied["stages"][0]["now"]["deny"]) == {"change.unbounded"}
    now = lifted["stages"][0]["now"]
    assert (now["allow"], now["deny"]) == (True, [])
    (note,) = [row for row in now["notes"] if row["code"] == "change.unbounded"]
    assert note["msg"].startswith(("exempt until 2026-10-01 (EX-1): ", "in shadow until 2026-10-01: "))
    told = past.json("policy", "show", "--bundle", str(open_)).doc
    assert [row["code"] for row in (*told["exemptions"], *told["shadow"])] == ["change.unbounded"]
    assert all(row["standing"] in ("holds", "run out") for row in (*told["exemptions"], *told["shadow"]))
    page = past.run("policy", "show", "--bundle", str(open_)).out
    assert "change.unbounded" in page.split("standing")[1]


@pytest.mark.parametrize(
    ("parts", "says"),
    [
        ({"exemptions": [{**EXEMPT, "code": "author.held"}]}, "is no rule that may be excepted"),
        ({"constitution": []}, "`constitution` must be"),
        ({"constitution": [], "exemptions": [{**EXEMPT, "code": "author.held"}]}, "`constitution` must be"),
        ({"exemptions": [{**EXEMPT, "approved_by": ["ada", "Ada"]}]}, "2 different people"),
        ({"exemptions": [{**EXEMPT, "until": ""}]}, "until is a day"),
        ({"exemptions": {}}, "`exemptions` must be a list"),
        ({"shadow": [{"code": "author.held", "effective_on": "2026-10-01"}]}, "is no rule that may be excepted"),
    ],
)
def test_a_bundle_that_excepts_what_it_may_not_is_not_loaded(
    past: Installed, tmp_path: Path, parts: dict[str, object], says: str
):
    answer = past.json("policy", "simulate", WIDE, "--bundle", str(edited(tmp_path / "b", parts)))
    assert answer.error["code"] == "integrity.policies"
    assert says in str(answer.error["message"])


def test_the_tests_of_another_bundle_are_its_own(past: Installed, tmp_path: Path):
    answer = past.json("policy", "test", "--bundle", str(edited(tmp_path / "tight", max_files=10)))
    assert (answer.code, answer.doc["failed"] > 0) == (1, True)
    assert answer.doc["bundle"] != bundle.load().manifest.digest
