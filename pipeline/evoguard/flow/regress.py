"""PART of check. Put the requests that the base declares to base and candidate, and say what differs."""

from __future__ import annotations

from collections.abc import Mapping

from evoguard.domain.canonical import Digest, Json, canonical, digest_of
from evoguard.domain.cases import Declared, cases_of, declared_of
from evoguard.domain.events import Event
from evoguard.domain.headline import headline
from evoguard.domain.regression import Difference, Regression, Row, compare, findings
from evoguard.domain.verdict import Finding
from evoguard.ports import Ports
from evoguard.ports.forge import Blob
from evoguard.ports.replay import Asked, Replayed

Trees = tuple[Mapping[str, Blob], Mapping[str, Blob]]


async def regress(
    impact: Mapping[str, Json], base: Mapping[str, Blob], candidate: Mapping[str, Blob], lock: str, ports: Ports
) -> tuple[Digest, Event]:
    """Store what was answered; every component's cases are asked, whichever of them the change touches."""
    found = await regression(impact.get("cases"), (base, candidate), lock, ports)
    doc = found.as_json()
    stored = await ports.artifacts.put(canonical(doc))
    said = [Finding(one.code, f"{one.component} {one.case}: {one.msg}").as_json() for one in found.findings]
    return stored, Event(
        "candidate.replayed",
        {"regression": stored, "status": found.status, "asked": found.asked, "answered": found.answered,
         "findings": len(found.findings)},
        reason=headline(said),
    )  # fmt: skip


async def regression(facts: Json, trees: Trees, lock: str, ports: Ports) -> Regression:
    """Return what differs on the declared cases. What cannot be asked is a finding.

    Raises: UnavailableError when no isolated run took place.
    """
    base, candidate = trees
    try:
        declared = declared_of(facts)
    except ValueError as err:
        return Regression("incomplete", 0, 0, (Difference("regression.not_run", "", "", str(err)),))
    if not declared:
        return Regression("none")
    files = {one.component: digest_of(base[one.file].data) for one in declared if one.file in base}
    asked, broken = _asked(declared, base)
    if not asked:
        return Regression("incomplete", len(declared), 0, broken, files=files)
    return outcome(asked, await ports.replay.replay(base, candidate, asked, lock), broken, files)


def _asked(declared: tuple[Declared, ...], base: Mapping[str, Blob]) -> tuple[list[Asked], tuple[Difference, ...]]:
    """Return the cases that can be asked, and a finding for each file that cannot be read."""
    asked: list[Asked] = []
    broken: list[Difference] = []
    for one in declared:
        try:
            if one.file not in base:
                raise ValueError("it is not in the base")
            asked.append(Asked(one, cases_of(base[one.file].data, one.kind)))
        except ValueError as err:
            text = f"the case file {one.file} cannot be used: {err}"
            broken.append(Difference("regression.not_run", one.component, "", text[:400]))
    return asked, tuple(broken)


def outcome(asked: list[Asked], seen: Replayed, broken: tuple[Difference, ...], files: Mapping[str, str]) -> Regression:
    """Return what differs; sides that are not as many as were asked are missing answers."""
    rows: list[Row] = []
    told: list[Difference] = [*broken]
    if not len(asked) == len(seen.base) == len(seen.candidate):
        told.append(Difference("regression.not_run", "", "", "answers are missing"))
    for one, was, now in zip(asked, seen.base, seen.candidate, strict=False):
        compared = compare(one.declared, one.cases, was, now)
        rows += compared
        told += findings(one.declared, compared, was, now)
    if not seen.isolation:
        told.append(Difference("regression.not_run", "", "", "no isolation was proved for both sides"))
    if seen.behaviour == "incomplete":
        told.append(Difference("regression.not_run", "", "", "the record of attempts to reach out is not whole"))
    text = "only the candidate tries to reach it; denied: no network"
    told += [Difference("regression.effect", "", "", f"{place}: {text}") for place in seen.reached]
    count = sum(len(one.cases) for one in asked) + len(broken)
    answered = sum(row.code != "regression.not_run" for row in rows)
    whole = answered == count and not any(one.code == "regression.not_run" for one in told)
    return Regression(
        "complete" if whole else "incomplete", count, answered, tuple(told), tuple(rows), files, seen.isolation,
        seen.behaviour, seen.wall_ms,
    )  # fmt: skip
