"""What every `Policies` adapter owes: a fixture `policies` in a subclass names the one that is tested."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import Mapping
from typing import Any, TypeAlias

import pytest

from evoguard.domain.verdict import Decision, PolicyStage
from evoguard.errors import InputError
from evoguard.ports import Policies

Doc: TypeAlias = Any
"""JSON, right or wrong."""

FILE: dict[str, Any] = {
    "path": "lending/scoring.py", "old_path": "", "status": "modified", "added": 3, "deleted": 1, "binary": False,
    "mode_old": "100644", "mode_new": "100644", "size": 900,
}  # fmt: skip
VOTE: dict[str, Any] = {
    "by": "ada", "kind": "person", "digest": "sha256:question", "at": 1_790_000_000, "expires": 1_790_003_600,
    "verdict": "approve", "model": "",
}  # fmt: skip
SET_ASIDE: dict[str, Any] = {
    "test": "tests/test_b.py::test_b", "until": 1_790_003_600, "reason": "reads the clock", "owner": "ada",
}  # fmt: skip

UNASKED: dict[str, Any] = {
    "digest": "", "declared": 0, "status": "none", "asked": 0, "answered": 0, "omitted": 0, "findings": [],
}  # fmt: skip
FEATURE: dict[str, Any] = {"name": "lines", "value": 60, "points": 60, "hard": False, "note": ""}


def a_question(stage: str = "review", **changes: Doc) -> dict[str, Any]:
    """Return a question that is allowed at `stage`; `part={"field": …}` changes fields, any other value replaces."""
    admit = stage == "admit"
    question: dict[str, Any] = {
        "v": 1,
        "stage": stage,
        "now": 1_790_000_100,
        "change": {
            "id": "ch-0123456789ab", "repo": "lending", "base": "b0", "head": "c1", "tree": "d2", "intent": "",
            "component": "scoring",
        },
        "files": [dict(FILE)],
        "totals": {"files": 1, "added": 3, "deleted": 1, "omitted": 0},
        "impact": {
            "floor": 80, "risk": 80, "features": [dict(FEATURE)], "known": True, "unknown": [], "dependants": 2,
            "tests": 1, "components": ["scoring"],
        },
        "author": {"id": "coder", "kind": "agent", "held": False, "sponsors": ["dora"], "model": "maker/large-1"},
        "owners": [], "prior": {"reverted": [], "open": [], "omitted": 0},
        "component": {
            "name": "scoring", "flag": "lending-scoring", "kpis": ["errors"], "quorum": 1, "stages": [1, 10, 50, 100],
        },
        "evidence": {
            "digest": "sha256:evidence", "passed": True, "isolation": "gvisor", "behaviour": "recorded",
            "assurance": "split",
            "expected": 12, "run": 12, "failed": 0, "split": 9, "unstable": [], "review": [],
        },
        "secrets": [],
        "scan": {"digest": "sha256:scan", "status": "complete", "omitted": 0, "unread": []},
        "inspection": {"digest": "sha256:inspection", "status": "complete", "omitted": 0},
        "dependencies": [], "faults": [], "vulnerable": [], "weakened": [], "blobs": [], "capabilities": [],
        "advisories": {
            "status": "present", "digest": "sha256:db", "imported": 1_790_000_000, "newest": 1_790_000_000,
            "entries": 9,
        },
        "regression": dict(UNASKED),
        "sbom": {"base": "sha256:old", "head": "sha256:new", "difference": "sha256:diff"},
        "hits": [],
        "approvals": [dict(VOTE)] if admit else [],
        "approval_digest": "sha256:question" if admit else "",
        "quarantine": [dict(SET_ASIDE)],
        "tighten": {
            "guard": [], "max_files": 0, "max_lines": 0, "quorum": 0, "seats": 0, "assurance": "", "split_percent": 0,
        },
        "policy": {"bundle": "sha256:bundle", "reviewed_bundle": "sha256:bundle" if admit else ""},
    }  # fmt: skip
    for key, value in changes.items():
        old = question.get(key)
        question[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
    return question


def touching(path: str, **fields: Doc) -> list[dict[str, Any]]:
    """Return a file list with one file."""
    return [{**FILE, "path": path, **fields}]


def votes(*changes: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return one vote for each change to the usual one."""
    return [{**VOTE, **change} for change in changes]


def codes(decision: Decision) -> set[str]:
    """Return the codes that deny."""
    return {finding.code for finding in decision.deny}


FOUND: dict[str, Any] = {
    "owners": [{"path": "a.py", "names": ["@ada"]}],
    "prior": {
        "reverted": [{"change": "ch-before", "at": 1}], "omitted": 0,
        "open": [{"change": "ch-other", "author": "rival", "paths": ["a.py"]}],
    },
    "secrets": [{"rule": "aws-key", "path": "a.py", "line": 7}],
    "hits": [{"rule": "python.eval", "severity": "info", "path": "a.py", "line": 7, "msg": "data is run as code"}],
    "dependencies": [{
        "ecosystem": "PyPI", "name": "requests", "version": "2.31.0", "before": "", "change": "changed",
        "path": "requirements.lock", "line": 3, "origin": "index", "where": "", "pinned": "digest", "pinned_before": "",
        "scripts": False,
        "alike": "", "how": "", "licence": "MIT", "licences": [["MIT"]], "alias": "", "own": False,
    }],
    "faults": [{"path": "yarn.lock", "line": 0, "why": "nobody reads it", "kind": "unsupported"}],
    "vulnerable": [{
        "id": "GHSA-0000-0000-0000", "severity": "low", "ecosystem": "PyPI", "name": "requests", "version": "2.31.0",
        "path": "requirements.lock", "line": 3,
    }],
    "weakened": [{"rule": "tests.skipped", "path": "tests/test_a.py", "line": 3, "msg": "test_a: skip"}],
    "blobs": [{"rule": "blob.minified", "path": "a.min.js", "line": 1, "msg": "lines that nobody reads"}],
    "capabilities": [{"rule": "capability.network", "path": "a.py", "line": 1, "msg": "it reaches other machines"}],
    "regression": {
        "digest": "sha256:regression", "declared": 1, "status": "complete", "asked": 1, "answered": 1, "omitted": 0,
        "findings": [{"code": "regression.answer", "component": "scoring", "case": "a loan", "msg": "was 1, is 2"}],
    },
}  # fmt: skip
"""What a question holds where something was found."""


def fields() -> list[tuple[str | int, ...]]:
    """Return the way to every field of a question with one item in every list."""
    full = a_question("admit", **copy.deepcopy(FOUND))
    ways: list[tuple[str | int, ...]] = []
    for key, value in full.items():
        ways.append((key,))
        if isinstance(value, dict):
            ways += [(key, part) for part in value]
            lists = [(part, rows) for part, rows in value.items() if isinstance(rows, list) and rows]
            ways += [(key, part, 0, inner) for part, rows in lists if isinstance(rows[0], dict) for inner in rows[0]]
        elif isinstance(value, list) and isinstance(value[0], dict):
            ways += [(key, 0, part) for part in value[0]]
    return ways


def without(way: tuple[str | int, ...]) -> dict[str, Any]:
    """Return the full question of `fields` with one of them lost."""
    question = a_question("admit", **copy.deepcopy(FOUND))
    place: Any = question
    for step in way[:-1]:
        place = place[step]
    del place[way[-1]]
    return question


def shuffled(value: Doc, seed: int) -> Doc:
    """Return equal JSON with every table's keys in another order."""
    if isinstance(value, dict):
        keys = list(value)
        random.Random(seed).shuffle(keys)  # noqa: S311  (an order to try, not a secret)
        return {key: shuffled(value[key], seed) for key in keys}
    return [shuffled(item, seed) for item in value] if isinstance(value, list) else value


class PoliciesSuite:
    @pytest.mark.parametrize("stage", ["review", "admit"])
    async def test_a_complete_question_without_objection_is_allowed(
        self, policies: Policies, stage: PolicyStage
    ) -> None:
        decision = await policies.decide(stage, a_question(stage))
        assert (decision.allow, decision.deny, decision.quorum) == (True, (), 1)

    @pytest.mark.parametrize("stage", ["review", "admit"])
    async def test_every_decision_says_which_rules_were_seen(self, policies: Policies, stage: PolicyStage) -> None:
        for question in (a_question(stage), {}):
            seen = (await policies.decide(stage, question)).rules_seen
            assert seen
            assert list(seen) == sorted(set(seen))

    @pytest.mark.parametrize("way", fields(), ids=lambda way: ".".join(map(str, way)))
    async def test_a_lost_field_is_denied_by_name(self, policies: Policies, way: tuple[str | int, ...]) -> None:
        decision = await policies.decide("admit", without(way))
        named = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in way)[1:]
        incomplete = {finding.path for finding in decision.deny if finding.code == "input.incomplete"}
        assert not decision.allow
        assert named in incomplete or any(path.startswith(f"{named}.") for path in incomplete)

    @pytest.mark.parametrize(
        ("stage", "changes", "code"),
        [
            ("review", {"author": {"held": True}}, "author.held"),
            ("review", {"files": touching("CODEOWNERS")}, "approval.guard_paths"),
            ("review", {"files": touching("x", old_path="sub/.evoguard.toml")}, "approval.guard_paths"),
            ("review", {"files": touching(".GitHub/workflows/a.yml")}, "approval.guard_paths"),
            ("review", {"files": touching("a", mode_new="120000")}, "change.special_file"),
            ("review", {"files": touching("a", binary=True, status="added")}, "change.unbounded"),
            ("review", {"totals": {"omitted": 1}}, "change.unbounded"),
            ("review", {"secrets": [{"rule": "r", "path": "p", "line": 1}]}, "change.secret"),
            ("review", {"evidence": {"passed": False}}, "evidence.not_passed"),
            ("review", {"evidence": {"run": 0, "expected": 0}}, "evidence.not_passed"),
            ("review", {"evidence": {"isolation": "docker"}}, "evidence.not_isolated"),
            ("review", {"evidence": {"isolation": "unsafe-runc"}}, "evidence.not_isolated"),
            ("review", {"evidence": {"unstable": ["tests/test_a.py::test_a"]}}, "evidence.unstable_tests"),
            ("admit", {"component": {"flag": ""}}, "rollout.missing_flag"),
            ("admit", {"component": {"kpis": []}}, "rollout.missing_kpi"),
            ("admit", {"policy": {"bundle": "sha256:other"}}, "policy.bundle_changed"),
            ("admit", {"approvals": []}, "approval.quorum"),
            ("admit", {"approvals": votes({"expires": 1_790_000_100})}, "approval.quorum"),
            ("admit", {"approvals": votes({"digest": "sha256:other"})}, "approval.quorum"),
            ("admit", {"approvals": votes({}, {"by": "bob", "verdict": "reject"})}, "approval.quorum"),
            ("admit", {"author": {"id": "ada", "kind": "person"}}, "approval.self"),
        ],
    )
    async def test_each_objection_has_its_code(
        self, policies: Policies, stage: PolicyStage, changes: Doc, code: str
    ) -> None:
        decision = await policies.decide(stage, a_question(stage, **changes))
        assert not decision.allow
        assert code in codes(decision)

    async def test_a_foreign_repository_reaches_approval_with_notes(self, policies: Policies) -> None:
        decision = await policies.decide("review", a_question(component={"flag": "", "kpis": []}))
        assert decision.allow
        assert {note.code for note in decision.notes} == {"rollout.missing_flag", "rollout.missing_kpi"}

    async def test_a_persons_guard_change_needs_two_people(self, policies: Policies) -> None:
        asked = {"author": {"id": "carl", "kind": "person"}, "files": touching("policies/data.json")}
        review = await policies.decide("review", a_question(**asked))
        one = await policies.decide("admit", a_question("admit", **asked))
        two = await policies.decide("admit", a_question("admit", **asked, approvals=votes({}, {"by": "bob"})))
        assert (review.allow, review.quorum, bool(review.escalate)) == (True, 2, True)
        assert (one.allow, codes(one)) == (False, {"approval.guard_paths", "approval.quorum"})
        assert two.allow

    @pytest.mark.parametrize(
        ("files", "limit", "allow"), [(10, 9, False), (9, 10, True), (100, 20, False), (20, 100, True)]
    )
    async def test_numbers_are_compared_as_numbers(
        self, policies: Policies, files: int, limit: int, allow: bool
    ) -> None:
        question = a_question(totals={"files": files}, tighten={"max_files": limit})
        assert (await policies.decide("review", question)).allow is allow

    @pytest.mark.parametrize(("component", "tighten", "quorum"), [(9, 10, 10), (10, 9, 10), (20, 100, 100), (0, 0, 1)])
    async def test_the_highest_quorum_asked_holds(
        self, policies: Policies, component: int, tighten: int, quorum: int
    ) -> None:
        question = a_question(component={"quorum": component}, tighten={"quorum": tighten})
        assert (await policies.decide("review", question)).quorum == quorum

    async def test_the_order_of_keys_changes_nothing(self, policies: Policies) -> None:
        question = a_question("admit", files=touching("b") + touching("CODEOWNERS") + touching(".evoguard.toml"))
        first = await policies.decide("admit", question)
        for seed in range(5):
            assert (await policies.decide("admit", shuffled(question, seed))).as_json() == first.as_json()

    async def test_a_question_of_the_other_stage_is_refused(self, policies: Policies) -> None:
        assert not (await policies.decide("admit", a_question("review"))).allow
        assert not (await policies.decide("review", a_question("admit"))).allow

    async def test_eight_questions_at_once_get_their_own_answers(self, policies: Policies) -> None:
        questions = [a_question(files=touching(f"f{n}", mode_new="120000" if n % 2 else "100644")) for n in range(32)]
        answers = await asyncio.gather(*(policies.decide("review", question) for question in questions))
        assert [[f.path for f in answer.deny] for answer in answers] == [[f"f{n}"] if n % 2 else [] for n in range(32)]

    @pytest.mark.parametrize(
        "value",
        [1.5, 1.0, float("nan"), 2**53, -(2**53), "a\0b", "\ud800", "e\u0301", b"bytes", {1: 2}, object()],
        ids=["fraction", "float", "nan", "2^53", "-2^53", "NUL", "surrogate", "NFD", "bytes", "key", "object"],
    )
    async def test_what_engines_could_read_differently_is_refused(self, policies: Policies, value: Doc) -> None:
        with pytest.raises(InputError):
            await policies.decide("review", a_question(change={"intent": value}))

    async def test_depth_and_size_are_bounded(self, policies: Policies) -> None:
        deep: Any = []
        for _ in range(10_000):
            deep = [deep]
        for value in (deep, "x" * 4_000_000):
            with pytest.raises(InputError):
                await policies.decide("review", a_question(change={"intent": value}))
        assert (await policies.decide("review", a_question())).allow

    async def test_a_question_is_not_changed_by_asking(self, policies: Policies) -> None:
        question = a_question()
        before = copy.deepcopy(question)
        await policies.decide("review", question)
        assert json.dumps(question) == json.dumps(before)

    def test_a_bundle_is_named_by_digest(self, policies: Policies) -> None:
        assert policies.digest.startswith("sha256:")
