"""What was counted and told of each rollout, in one small file a rollout; one that cannot be read stops the source."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from hashlib import sha256
from pathlib import Path
from typing import cast

from evoguard.domain.kpi import Arm
from evoguard.errors import ConfigError, UnavailableError
from evoguard.prometheus.counting import ARMS, NONE, ByArm, Counters, Pending, Told

MOST_BYTES = 65_536
MOST_NUMBER = 2**53
Write = Callable[[Path, str, bytes], None]
"""Makes a file of a folder hold bytes, synced; raises OSError. A reader never sees half of it."""


class Keeper:
    """The files of a folder. `write` None keeps nothing: a dry run reads what is there and leaves it so."""

    def __init__(self, folder: Path, write: Write | None) -> None:
        self._folder = folder
        self._write = write

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the folder. Raises: ConfigError when another source has it, or when it cannot be made."""
        if self._write is None:
            yield
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError as err:
            raise ConfigError(f"the state folder cannot be made: {err.strerror}", code="prometheus.state") from err
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            yield
        except BlockingIOError as err:
            text = "another source works with this state folder"
            raise ConfigError(text, code="prometheus.state", fix="one source a component") from err
        finally:
            os.close(lock)

    def load(self, change: str) -> Told:
        """Return what is kept of a rollout, nothing of one that is new. Raises: ConfigError for an unreadable file."""
        try:
            handle = os.open(self._folder / _file(change), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return Told(change)
        except OSError as err:
            raise _bad(change) from err
        try:
            with os.fdopen(handle, "rb") as file:
                raw = file.read(MOST_BYTES + 1)
            told = _told(json.loads(raw)) if len(raw) <= MOST_BYTES else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
            raise _bad(change) from err
        if told is None or told.change != change:
            raise _bad(change)
        return told

    def save(self, told: Told) -> None:
        """Keep it before this returns. Raises: UnavailableError."""
        if self._write is None:
            return
        try:
            self._write(self._folder, _file(told.change), json.dumps({"v": 1, **asdict(told)}).encode())
        except OSError as err:
            raise UnavailableError("prometheus", "what was counted cannot be kept, so it is not told") from err


def _file(change: str) -> str:
    return f"{sha256(change.encode()).hexdigest()[:32]}.json"


def _told(doc: Mapping[str, object]) -> Told:
    if set(doc) != {"v", *Told.__dataclass_fields__} or doc["v"] != 1:
        raise ValueError("not of this form")
    counters, pending = _table(doc["counters"] or {}), _table(doc["pending"] or {})
    return Told(
        change=_text(doc["change"]),
        counters=_counters(counters) if counters else None,
        sequence=_whole(doc["sequence"]),
        bad_told=_by_kpi(doc["bad_told"]),
        exposed_left=_by_arm(doc["exposed_left"]),
        bad_left=_by_kpi(doc["bad_left"]),
        at=_whole(doc["at"]),
        pending=_pending(pending) if pending else None,
        refused=_text(doc["refused"]),
    )


def _counters(doc: Mapping[str, object]) -> Counters:
    return Counters(_whole(doc["at"]), _by_arm(doc["exposed"]), _by_kpi(doc["bad"]))


def _pending(doc: Mapping[str, object]) -> Pending:
    bad: dict[str, dict[Arm, tuple[int, int]]] = {}
    for kpi, arms in _table(doc["bad"]).items():
        bad[kpi] = {}
        for arm, pair in _table(arms).items():
            first, count = cast("list[object]", pair)
            if arm not in ARMS or _whole(count) > 1_000:
                raise ValueError("not of this form")
            bad[kpi][arm] = (_whole(first), _whole(count))
    return Pending(_text(doc["id"]), _whole(doc["at"]), _by_arm(doc["exposed"]), bad)


def _by_kpi(value: object) -> dict[str, ByArm]:
    return {kpi: _by_arm(counts) for kpi, counts in _table(value).items()}


def _by_arm(value: object) -> ByArm:
    doc = _table(value)
    if set(doc) != set(NONE):
        raise ValueError("not of this form")
    return {arm: _whole(doc[arm]) for arm in ARMS}


def _table(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise TypeError("not of this form")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MOST_NUMBER:
        raise ValueError("not of this form")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 500:
        raise ValueError("not of this form")
    return value


def _bad(change: str) -> ConfigError:
    return ConfigError(
        f"what was told about {change[:80]} cannot be read, so nothing more can be told about it",
        code="prometheus.state",
        fix="bring the state folder back; without it the guard refuses what comes and the rollout ends by its silence",
    )
