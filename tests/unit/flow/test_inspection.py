"""What a change brings reaches policies, record and attestation; nothing that was not looked at goes through."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from evoguard.domain.canonical import Json, as_digest
from evoguard.domain.change import Diff, FileChange
from evoguard.flow import inspect as room
from evoguard.ports.advisories import Advice
from evoguard.ports.forge import Blob
from evoguard.supply import inspection
from fakes import FakeSources
from house import BASE, COMPONENT, House

HASH = "--hash=sha256:" + "a" * 64
LOCK = f"requests==2.31.0 {HASH}\n"


class Trees(FakeSources):
    """Base and head of a change to one lock, and further files of head."""

    def __init__(self, base: Mapping[str, str], head: Mapping[str, str]) -> None:
        super().__init__(COMPONENT)
        self.trees = {True: base, False: head}

    async def files(self, repo: str, commit: str) -> dict[str, Blob]:
        tree = {**await super().files(repo, commit)}  # type: ignore[arg-type]  # what the house submits
        return tree | {path: Blob("100644", text.encode()) for path, text in self.trees[commit == BASE].items()}

    async def diff(self, repo: str, base: Any, head: Any) -> Diff:  # noqa: ANN401  (the port's own types)
        told = await super().diff(repo, base, head)
        rows = tuple(
            FileChange(path, "modified" if path in self.trees[True] else "added", 1, 0, False, "100644", "100644", 9)
            for path, text in self.trees[False].items() if self.trees[True].get(path) != text
        )  # fmt: skip
        return replace(told, files=(*told.files, *rows))


@dataclass
class Known:
    """A database that says what a test tells it to."""

    advice: Advice

    async def of(self, packages: Iterable[tuple[str, str]]) -> Advice:
        asked = frozenset(packages)
        return replace(self.advice, rows={name: rows for name, rows in self.advice.rows.items() if name in asked})


async def judged(
    house: House, base: Mapping[str, str], head: Mapping[str, str], advice: Advice | None = None
) -> dict[str, Any]:
    house.sources = Trees(base, head)
    house.again()
    house.ports = replace(house.ports, advisories=Known(advice or Advice("none")))
    change = await house.submit()
    await house.drive(change)
    events = await house.queries.events(f"change/{change}")
    body = next(e.event.body for e in events if e.event.type == "change.judged")
    doc: dict[str, Any] = json.loads(await house.ports.artifacts.get(as_digest(str(body["decision"]))))
    return doc


def codes(record: Mapping[str, Any], kind: str) -> set[str]:
    return {finding["code"] for finding in record["decision"][kind]}


async def test_a_change_without_dependencies_is_allowed_and_told_that_nothing_was_looked_up(house: House) -> None:
    record = await judged(house, {"requirements.lock": LOCK}, {"requirements.lock": LOCK})
    assert record["decision"]["allow"]
    assert codes(record, "escalate") == set()
    assert codes(record, "notes") == {"evidence.advisories"}


@pytest.mark.parametrize(
    ("lock", "denied", "asked"),
    [
        (f"honest-made-up==1 {HASH}\n", set(), {"change.dependency_added", "change.licence", "evidence.advisories"}),
        ("honest-made-up==1\n", set(), {"change.dependency_unpinned"}),
        ("honest-made-up\n", {"change.dependency_unpinned"}, set()),
        (f"requets==1 {HASH}\n", set(), {"change.dependency_lookalike"}),
        ("r\u0435quests==1\n", {"change.dependency_lookalike", "change.dependency_unread"}, set()),
        ("--extra-index-url https://a.example\n", {"change.dependency_origin"}, set()),
        ("honest @ git+https://a.example/x@" + "a" * 40 + "\n", set(), {"change.dependency_origin"}),
        ("a b c\n", {"change.dependency_unread"}, set()),
    ],
)  # fmt: skip
async def test_what_a_lock_brings_is_judged(house: House, lock: str, denied: set[str], asked: set[str]) -> None:
    record = await judged(house, {"requirements.lock": LOCK}, {"requirements.lock": LOCK + lock})
    assert denied <= codes(record, "deny")
    assert bool(denied) is not record["decision"]["allow"]
    assert asked | {"change.lock_changed"} <= codes(record, "escalate")


@pytest.mark.parametrize(
    ("severity", "kind"), [("high", "deny"), ("malicious", "deny"), ("unknown", "deny"), ("moderate", "escalate")]
)
async def test_a_known_vulnerability_is_judged_by_how_bad_it_is(house: House, severity: str, kind: str) -> None:
    row: Mapping[str, Json] = {"id": "MADE-UP-1", "severity": severity, "ranges": [["introduced 0"]], "versions": []}
    advice = Advice("present", "sha256:db", 1, 1, 1, {("PyPI", "evil-made-up"): [row]})
    record = await judged(
        house, {"requirements.lock": LOCK}, {"requirements.lock": LOCK + f"evil-made-up==1 {HASH}\n"}, advice
    )
    assert "change.vulnerable" in codes(record, kind)
    assert record["question"]["advisories"]["digest"] == "sha256:db"


async def test_a_damaged_database_denies(house: House) -> None:
    record = await judged(house, {}, {}, Advice("damaged", "sha256:db"))
    assert codes(record, "deny") == {"evidence.advisories"}


async def test_both_bills_and_their_difference_are_stored_and_named(house: House) -> None:
    record = await judged(house, {"requirements.lock": LOCK}, {"requirements.lock": LOCK + f"new-made-up==1 {HASH}\n"})
    bills = {
        name: json.loads(await house.ports.artifacts.get(as_digest(digest)))
        for name, digest in record["question"]["sbom"].items()
    }
    assert bills["difference"]["added"] == [{"package": "pkg:pypi/new-made-up", "after": ["1"]}]
    assert [len(bills[name]["components"]) for name in ("base", "head")] == [1, 2]


async def test_an_agents_weaker_test_asks_people(house: House) -> None:
    test = "def test_a():\n    assert 1 == 1\n"
    record = await judged(house, {"tests/test_a.py": test}, {"tests/test_a.py": "def test_a():\n    pass\n"})
    assert {f["term"] for f in record["decision"]["escalate"]} == {"tests.fewer_asserts"}


async def test_what_is_too_much_to_be_read_is_refused(house: House) -> None:
    record = await judged(house, {}, {"requirements.txt": "".join(f"x{n}==1\n" for n in range(20_001))})
    assert {f["code"] for f in record["decision"]["deny"]} == {"evidence.not_inspected"}


async def test_a_look_that_fails_leaves_the_gate_shut(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> inspection.Inspection:
        raise RuntimeError("no answer")

    monkeypatch.setattr(room.inspection, "inspect", broken)
    change = await house.submit()
    with pytest.raises(RuntimeError):
        await house.drive(change)
    assert "approval.requested" not in await house.story(change)
