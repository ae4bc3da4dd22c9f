"""Flags as Unleash documents, and the one question of this room: is this flag served on?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from evoguard.domain.canonical import Json, canonical
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import LatchBoard
from evoguard.domain.version import versions_in
from evoguard.flags.unguarded import NONE, Both, Unguarded

OffReason = Literal["", "off", "killed", "fenced"]


@dataclass(frozen=True, slots=True)
class Page:
    """A body to serve and the ETag of its bytes: content, not revision, so an old state never passes as the same."""

    body: bytes
    etag: str


def off_reason(state: FlagState, board: LatchBoard) -> OffReason:
    """Return why the flag is served off, or an empty text. A kill wins over everything, a fence over the row."""
    if board.killed(component=state.component, flag=state.flag):
        return "killed"
    if state.epoch < board.fence(component=state.component, flag=state.flag):
        return "fenced"
    return "" if state.enabled else "off"


def feature(state: FlagState, board: LatchBoard) -> dict[str, Json]:
    """Return the Unleash document of a flag; off keeps its payload, so a router still knows the known-good commit."""
    return _feature(state, off_reason(state, board) == "")


@dataclass(frozen=True, slots=True)
class Served:
    """Everything that is served at one moment: the JSON of each feature by name, and of each segment by id."""

    features: Mapping[str, bytes]
    segments: Mapping[int, bytes]

    def listed(self) -> tuple[bytes, bytes]:
        """Return the two JSON lists."""
        features = b",".join(self.features[name] for name in sorted(self.features))
        segments = b",".join(self.segments[number] for number in sorted(self.segments))
        return b"[%s]" % features, b"[%s]" % segments


def served(
    states: Iterable[FlagState], board: LatchBoard, beside: Unguarded = NONE, guarded: frozenset[str] = frozenset()
) -> Served:
    """Return what is served: the guarded flags, and beside them those of the operator whose names are not guarded."""
    rows = {state.flag: _encoded(state, off_reason(state, board) == "") for state in states}
    for name, both in beside.features.items():
        if name not in rows and name not in guarded:
            rows[name] = both.off if board.killed(component="", flag=name) else both.given
    return Served(rows, beside.segments)


def known_good(
    states: Iterable[FlagState], board: LatchBoard, beside: Unguarded = NONE, guarded: frozenset[str] = frozenset()
) -> Served:
    """Return what an app may start from: on is only what went all the way and is neither killed nor fenced."""
    settled = [state if _settled(state) else replace(state, enabled=False, lease_until=0) for state in states]
    return served(settled, board, beside, guarded)


def page(now: Served) -> Page:
    """Return the document that SDKs poll."""
    body = b'{"features":%s,"segments":%s,"version":2}' % now.listed()
    return Page(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def off_list(
    states: Iterable[FlagState],
    board: LatchBoard,
    *,
    known: bool,
    folder: str = "",
    beside: Mapping[str, Both] = NONE.features,
) -> dict[str, Json]:
    """Return which flags are served on and off now and why, under which epoch: the acknowledgement of a kill.

    A flag in neither list is not served, so an SDK takes it as off. `known` is false when no rows could be read yet;
    `folder` is the kill folder's device and number, by which a worker sees that both look at the same one. `beside`
    are the served flags that no rollout writes; they have no component.
    """
    off: list[Json] = []
    on: list[Json] = []
    for state in states:
        reason = off_reason(state, board)
        latch = board.first(component=state.component, flag=state.flag)
        if reason:
            off.append(
                {"flag": state.flag, "component": state.component, "reason": reason, "kill": latch.id if latch else ""}
            )
        else:
            on.append(state.flag)
    for name in sorted(beside):
        latch, killed = board.first(component="", flag=name), board.killed(component="", flag=name)
        if killed or beside[name].given == beside[name].off:
            reason = "killed" if killed else "off"
            off.append({"flag": name, "component": "", "reason": reason, "kill": latch.id if latch else ""})
        else:
            on.append(name)
    unreadable: list[Json] = [*board.unreadable[:20]]
    return {"epoch": board.epoch, "known": known, "folder": folder, "unreadable": unreadable, "off": off, "on": on}


def _settled(state: FlagState) -> bool:
    """Tell whether the flag's rollout is over and went to everybody: until then known-good is the flag off."""
    return state.percent == 100 and not state.lease_until


@lru_cache(4096)
def _encoded(state: FlagState, on: bool) -> bytes:
    """Return the JSON of a flag; made once, as it is asked for at every change of any flag."""
    return canonical(_feature(state, on))


def _feature(state: FlagState, on: bool) -> dict[str, Json]:
    payload: dict[str, Json] = {
        "change": state.change,
        "component": state.component,
        "percent": state.percent,
        "known_good": state.known_good,
        "candidate": state.candidate,
        **_version(state, on),
    }
    return {
        "name": state.flag,
        "type": "release",
        "project": "default",
        "stale": False,
        "impressionData": False,
        "enabled": on,
        "strategies": [_strategy(state)],
        "variants": [
            {
                "name": "versions",
                "weight": 1000,
                "weightType": "variable",
                "stickiness": "userId",
                "payload": {"type": "json", "value": canonical(payload).decode()},
                "overrides": [],
            }
        ],
    }


def _version(state: FlagState, on: bool) -> dict[str, Json]:
    """Return what callers load: the candidate's digest while the flag is on, the known-good's as soon as it is off."""
    try:
        named = versions_in(state.versions)
    except ValueError:
        return {}  # no version: callers stay on what is pinned
    if named is None:
        return {}
    digest = named.candidate if on else named.known_good
    return {"version": {"kind": named.kind, "digest": digest, "known_good": named.known_good}}


def _strategy(state: FlagState) -> dict[str, Json]:
    return {
        "name": "flexibleRollout",
        "constraints": [_lease(state.lease_until)] if state.lease_until else [],
        # Whole numbers as text: an SDK reads "10.0" as 0 %. userId: the default stickiness flaps without a session.
        "parameters": {"rollout": str(state.percent), "stickiness": "userId", "groupId": state.change},
    }


def _lease(until_s: int) -> dict[str, Json]:
    """Return the constraint by which every SDK turns the flag off by itself; fractions of a second never match."""
    try:
        instant = datetime.fromtimestamp(until_s, tz=UTC)
    except (OverflowError, ValueError, OSError):
        instant = datetime.fromtimestamp(0, tz=UTC)
    return {
        "contextName": "currentTime",
        "operator": "DATE_BEFORE",
        "value": instant.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "inverted": False,
        "caseInsensitive": False,
        "values": [],
    }
