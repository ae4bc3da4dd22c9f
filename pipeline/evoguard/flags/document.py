"""Flags as Unleash documents, and the one question of this room: is this flag served on?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from evoguard.domain.canonical import Json, canonical
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import LatchBoard

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
    payload: dict[str, Json] = {
        "change": state.change,
        "component": state.component,
        "percent": state.percent,
        "known_good": state.known_good,
        "candidate": state.candidate,
    }
    return {
        "name": state.flag,
        "type": "release",
        "project": "default",
        "stale": False,
        "impressionData": False,
        "enabled": off_reason(state, board) == "",
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


def features(states: Iterable[FlagState], board: LatchBoard) -> Page:
    """Return the document that SDKs poll."""
    listed: list[Json] = [feature(state, board) for state in states]
    body = canonical({"version": 2, "features": listed, "segments": []})
    return Page(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')


def off_list(states: Iterable[FlagState], board: LatchBoard, *, known: bool, folder: str = "") -> dict[str, Json]:
    """Return which flags are served on and off now and why, under which epoch: the acknowledgement of a kill.

    A flag in neither list is not served, so an SDK takes it as off. `known` is false when no rows could be read yet;
    `folder` is the kill folder's device and number, by which a worker sees that both look at the same one.
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
    unreadable: list[Json] = [*board.unreadable[:20]]
    return {"epoch": board.epoch, "known": known, "folder": folder, "unreadable": unreadable, "off": off, "on": on}


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
