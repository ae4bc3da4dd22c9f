"""The flag server's own copy of rows and tokens: served when the database is locked, late, restored or gone."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from pathlib import Path

from evoguard.domain.canonical import Json, canonical
from evoguard.domain.flag import FlagState
from evoguard.errors import EvoguardError
from evoguard.flags.store import FlagStore
from evoguard.flags.unguarded import NONE, parsed

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Copy:
    """One consistent copy. `known` is false until rows were read once, from the database or the bootstrap file."""

    rev: int = 0
    flags: tuple[FlagState, ...] = ()
    tokens: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    known: bool = False
    guarded: frozenset[str] = frozenset()
    """Names that no other document may use: of flags, and of any change's flag, served or not."""


class Memory:
    """Holds the newest copy, refreshes it, and keeps it in a file for a start with the database locked."""

    def __init__(self, store: FlagStore, bootstrap: Path, pool: Executor) -> None:
        self._store = store
        self._raw: bytes | None = None
        self._wrong = ""
        self._bootstrap = bootstrap
        self._pool = pool
        self._lock = asyncio.Lock()
        self._looked = -1e9
        self._older = False
        self.copy = Copy()
        self.unguarded = NONE
        """The operator's own flags, as they were last in order."""
        self.fresh = False
        """Whether the last look at the database succeeded."""
        self.told: Callable[[], None] = lambda: None
        """Called whenever what is held has changed."""

    async def start(self) -> None:
        """Read the bootstrap file, then the database; neither has to be there."""
        loop = asyncio.get_running_loop()
        self.copy = await loop.run_in_executor(self._pool, load, self._bootstrap)
        await self.refresh()

    async def refresh(self, *, unless_within_s: float = 0.0) -> bool:
        """Look at the database once; on failure the last copy stays. Return whether it could be read.

        A look that ended within `unless_within_s` seconds counts, so a flood of questions is no flood of looks.
        """
        async with self._lock:
            loop = asyncio.get_running_loop()
            if loop.time() - self._looked < unless_within_s:
                return self.fresh
            beside = self.unguarded
            await loop.run_in_executor(self._pool, self._look_beside)
            if self.unguarded is not beside:
                self.told()
            try:
                seen = await loop.run_in_executor(self._pool, self._read)
            except EvoguardError as err:
                self._note(fresh=False, why=err.code)
                return False
            except Exception as err:  # noqa: BLE001  (whatever a store does, serving goes on)
                self._note(fresh=False, why=type(err).__name__)
                return False
            self._note(fresh=True, why="")
            newer = merge(self.copy, seen)
            self._watch(newer, seen)
            if newer != self.copy:
                self.copy = newer
                self.told()
                await loop.run_in_executor(self._pool, _save, self._bootstrap, newer)
            return True

    async def poll(self, every_s: float) -> None:
        """Refresh for ever."""
        while True:
            await asyncio.sleep(every_s)
            await self.refresh()

    def _read(self) -> Copy:
        guarded = self._store.guarded()
        rev, flags = self._store.rows()
        return Copy(rev, flags, dict(self._store.tokens()), known=True, guarded=guarded)

    def _look_beside(self) -> None:
        """Read the operator's flags when they changed; a document out of order leaves the one before in force."""
        try:
            raw = self._store.unguarded()
            if raw is not self._raw:
                found = NONE if raw is None else parsed(raw)
                self._raw, self.unguarded = raw, found
            self._wrong = ""
        except Exception as err:  # noqa: BLE001  (whatever lies there, serving goes on)
            why = err.message if isinstance(err, EvoguardError) else type(err).__name__
            if why != self._wrong:
                log.error("flags.unguarded_refused %s", why)
            self._wrong = why

    @property
    def unguarded_wrong(self) -> str:
        """Why the operator's document as it lies there is not served; empty when it is, or when there is none."""
        return self._wrong

    def _watch(self, served: Copy, seen: Copy) -> None:
        """Log once when an older database was put back, and once when it has caught up."""
        older = served is not seen
        if older != self._older:
            log.error("flags.older_database served=%d database=%d" if older else "flags.database_caught_up %d %d",
                      self.copy.rev, seen.rev)  # fmt: skip
        self._older = older

    def _note(self, *, fresh: bool, why: str) -> None:
        self._looked = asyncio.get_running_loop().time()
        if fresh != self.fresh:
            log.warning("flags.database_back" if fresh else "flags.database_lost %s", *(() if fresh else (why,)))
        self.fresh = fresh


def merge(held: Copy, seen: Copy) -> Copy:
    """Return what to serve after the database was seen.

    A revision below one already served, or other rows under the same one, mean that an older database was put back:
    its rows may turn flags off, never on. Served leases run out; a person removes the bootstrap file and restarts to
    accept the older state.
    """
    if not held.known or seen.rev > held.rev or (seen.rev, seen.flags) == (held.rev, held.flags):
        return seen
    gone_off = {state.flag for state in seen.flags if not state.enabled}
    flags = tuple(replace(s, enabled=False, lease_until=0) if s.flag in gone_off else s for s in held.flags)
    return replace(held, flags=flags, guarded=held.guarded | seen.guarded)


def _save(path: Path, copy: Copy) -> None:
    """Write the copy durably and atomically; a failure is logged, for serving matters more."""
    doc: dict[str, Json] = {
        "v": 1,
        "rev": copy.rev,
        "flags": [state.as_json() for state in copy.flags],
        "tokens": {key: list(value) for key, value in copy.tokens.items()},
        "guarded": sorted(copy.guarded),
    }
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        handle = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(canonical(doc))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as err:
        log.error("flags.bootstrap_not_written %s", err.strerror)


def load(path: Path) -> Copy:
    """Return the copy in the bootstrap file; an unreadable file is as good as none."""
    try:
        doc = json.loads(path.read_bytes())
        flags = tuple(FlagState(**row) for row in doc["flags"])
        tokens = {str(key): (str(value[0]), str(value[1])) for key, value in doc["tokens"].items()}
        if doc["v"] != 1 or not all(_typed(state) for state in flags):
            raise ValueError("not a copy of version 1")
        guarded = frozenset(str(name) for name in doc.get("guarded", ()))
        return Copy(int(doc["rev"]), flags, tokens, known=True, guarded=guarded)
    except FileNotFoundError:
        return Copy()
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
        log.error("flags.bootstrap_unreadable")
        return Copy()


def _typed(state: FlagState) -> bool:
    texts = (state.flag, state.component, state.change, state.known_good, state.candidate, state.versions)
    numbers = (state.percent, state.lease_until, state.epoch)
    return (
        all(isinstance(text, str) for text in texts)
        and all(isinstance(number, int) for number in numbers)
        and isinstance(state.enabled, bool)
    )
