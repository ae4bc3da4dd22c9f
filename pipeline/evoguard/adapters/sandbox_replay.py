"""What the sandbox room saw of a replay, told in the guard's own words."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from evoguard.domain.cases import Case
from evoguard.domain.regression import Answer, Answers
from evoguard.ports.replay import Asked, Replayed
from evoguard_sandbox.replaying import Answered, Group, Side
from evoguard_sandbox.types import Connect

MOST_REACHED = 20
WHOLE = ("incomplete", "not recorded", "recorded")
"""How whole the record of attempts to reach out is, the worst first: what is left out of one was meant to be hidden."""


def groups(asked: Sequence[Asked]) -> list[Group]:
    """Return what the guest is asked: requests alone, never the answers that are pinned."""
    return [
        Group(one.declared.kind, one.declared.target, _requests(one.cases), one.declared.refuse, one.declared.ignore)
        for one in asked
    ]


def _requests(cases: Sequence[Case]) -> list[dict[str, object]]:
    return [dict(case.request) for case in cases]


def replayed(base: Side, candidate: Side, count: int) -> Replayed:
    """Return both sides' answers, as many as were asked for."""
    same = base.isolation == candidate.isolation
    return Replayed(
        _answers(base, count), _answers(candidate, count), reached(base, candidate),
        candidate.isolation if same else "", min(base.behaviour, candidate.behaviour, key=WHOLE.index),
        base.wall_ms + candidate.wall_ms,
    )  # fmt: skip


def reached(base: Side, candidate: Side) -> tuple[str, ...]:
    """Return the places outside that only the candidate tried to reach, by the record that was taken outside."""
    known = {(c.address, c.port) for c in base.connects}
    new = (c for c in candidate.connects if outside(c) and (c.address, c.port) not in known)
    found = {f"{c.address} port {c.port}" for c in new}
    return tuple(sorted(found)[:MOST_REACHED])


def outside(connect: Connect) -> bool:
    """Tell whether an attempt leads out of the guest; what cannot be read as an address does."""
    if connect.family not in ("inet", "inet6"):
        return False
    try:
        return connect.port == 53 or not ipaddress.ip_address(connect.address).is_loopback
    except ValueError:
        return True


def _answers(side: Side, count: int) -> tuple[Answers, ...]:
    if side.why or len(side.groups) != count:
        return tuple(Answers(why=side.why or "answers are missing") for _ in range(count))
    return tuple(map(_one, side.groups))


def _one(group: Answered) -> Answers:
    rounds = tuple(
        tuple(Answer(a.kind, a.parts, a.wall_us, a.cpu_us, a.refused) for a in rows) for rows in group.rounds
    )
    return Answers(rounds, group.why)
