"""Rules about what a change brings and how risky it is: an honest change's question with one answer put otherwise.

What reads a tree and measures a risk has its own attacks (`tests/unit/supply`, `tests/unit/impact`); here each rule is
asked about what they would have found.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from evoguard.domain.canonical import Json
from evoguard.exam.gate import Attack, Gate
from evoguard.exam.hall import BETTER, Hall, Seen
from evoguard.exam.surgery import Silent

Doc = dict[str, Json]
DEPENDENCY: Mapping[str, Json] = {
    "ecosystem": "PyPI", "name": "evil", "version": "1.0", "before": "0.9", "change": "changed",
    "path": "requirements.lock", "line": 1, "origin": "index", "where": "", "pinned": "digest", "pinned_before": "",
    "scripts": False, "alike": "", "how": "", "alias": "", "licence": "MIT", "licences": [["MIT"]], "own": False,
}  # fmt: skip
LATER = 4_000_000_000
"""No clock of an exam is that late: what is at this time is new."""
NOTE: Mapping[str, Json] = {"rule": "exam", "path": "a.py", "line": 1, "msg": "as the exam has it"}
VULNERABLE: Mapping[str, Json] = {
    "id": "GHSA-0000-0000-0000", "severity": "high", "ecosystem": "PyPI", "name": "evil", "version": "1.0",
    "path": "requirements.lock", "line": 1,
}  # fmt: skip
FAULT: Mapping[str, Json] = {"path": "requirements.lock", "line": 1, "why": "no requirement", "kind": "unreadable"}


def _touches(path: str) -> Doc:
    row: Doc = {"path": path, "old_path": "", "status": "modified", "added": 1, "deleted": 0, "binary": False,
                "mode_old": "100644", "mode_new": "100644", "size": 9}  # fmt: skip
    return {"files": [row]}


def _brings(**changes: Json) -> Doc:
    return {"dependencies": [{**DEPENDENCY, **changes}]}


ALTERED: Mapping[str, tuple[str, Doc]] = {
    "approval.owner": ("A path is changed whose owner nobody asks.",
                       {"owners": [{"path": "scoring.py", "names": ["@dora"]}]}),
    "change.agent_settings": ("An agent rewrites what agents are told, and nobody is told.", _touches("CLAUDE.md")),
    "change.blob": ("A file that nobody can read is added, and nobody is told.", {"blobs": [NOTE]}),
    "change.build_file": ("A file that builds and packs is changed, and nobody is told.", _touches("Dockerfile")),
    "change.capability": ("A file begins to reach other machines, and nobody is told.", {"capabilities": [NOTE]}),
    "change.dependency_added": ("A new dependency comes in, and nobody is told.", _brings(change="added", before="")),
    "change.dependency_lookalike": (
        "A dependency is called almost as one that everybody knows.", _brings(alike="devil", how="same look")),
    "change.dependency_origin": ("A version that was there before has other content.", _brings(change="rehashed")),
    "change.dependency_script": ("What is installed runs code of its own, and nobody is told.", _brings(scripts=True)),
    "change.dependency_unpinned": ("A dependency is whatever is newest on the day.", _brings(pinned="floating")),
    "change.dependency_unread": ("A list of dependencies is not what it claims to be.", {"faults": [FAULT]}),
    "change.licence": ("A new dependency's licence is on no list.",
                       _brings(change="added", before="", licence="GPL-3.0-only", licences=[["GPL-3.0-only"]])),
    "change.overlap": ("Another open change touches the same file, and nobody is told.", {"prior.open": [
        {"change": "ch-other", "author": "rival", "paths": ["scoring.py"]}]}),
    "change.reverted_before": ("The component was taken back twice this month, and nobody is told.",
                               {"prior.reverted": [{"change": name, "at": LATER} for name in ("ch-1", "ch-2")]}),
    "change.risk": ("A change of great risk passes, and nobody is told.", {"impact.risk": 450}),
    "change.risk_floor": ("Somebody thinks that a change is of less risk than was measured.", {"impact.floor": 999}),
    "change.tests_weakened": ("An agent makes tests weaker, and nobody is told.", {"weakened": [NOTE]}),
    "change.vulnerable": ("A version with a known vulnerability comes in.", {"vulnerable": [VULNERABLE]}),
    "evidence.advisories": ("The database of advisories is not what was imported.", {"advisories.status": "damaged"}),
    "evidence.not_inspected": ("What a change brings was not looked at.", {"inspection.status": "incomplete"}),
    "evidence.regression": ("A declared request ends in an error that the base does not give.", {"regression": {
        "digest": "sha256:regression", "declared": 1, "status": "complete", "asked": 1, "answered": 1, "omitted": 0,
        "findings": [{"code": "regression.error", "component": "scoring", "case": "a", "msg": "as the exam has it"}],
    }}),
    "rollout.first_stage": ("A risky change begins with half of all users.",
                            {"impact.risk": 350, "component.stages": [50, 100]}),
    "rollout.step": ("A risky change goes from one percent to all.",
                     {"impact.risk": 350, "component.stages": [1, 100]}),
}  # fmt: skip


def _put(question: Mapping[str, Json], changes: Mapping[str, Json]) -> Doc:
    """Return the question with other values; `a.b` is a field of a field."""
    made = dict(question)
    for place, value in changes.items():
        name, _, inner = place.partition(".")
        made[name] = {**cast("Mapping[str, Json]", made[name]), inner: value} if inner else value
    return made


def _attack(code: str, text: str, changes: Mapping[str, Json]) -> Attack:
    async def attack(hall: Hall) -> Seen:
        change = await hall.submit(BETTER)
        await hall.drive(change)
        question = cast("Mapping[str, Json]", (await hall.record(change))["question"])
        decision = await hall.driver.ports.policies.decide("review", _put(question, changes))
        found = decision.deny or decision.escalate
        said = sorted({finding.code for finding in found}, key=lambda one: (one != code, one))
        return Seen(decision.allow and code not in said, ", ".join(said) or "nobody is told")

    attack.__doc__, attack.__name__ = text, code.replace(".", "_")
    return attack


GATES = tuple(
    Gate(code, Silent(code), _attack(code, text, changes), code) for code, (text, changes) in sorted(ALTERED.items())
)
