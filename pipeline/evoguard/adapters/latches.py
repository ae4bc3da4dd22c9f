"""The kill folder as files: latches that stay in force until two people lift them.

The folder is 0770 and belongs to the group that may kill; files in it are 0644, so that a member of any primary group
can be read by all of them and by nobody outside. No sticky bit: whoever may write here may also delete, which lifts
nothing, as every process remembers what it saw and the event log keeps the rest.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

from evoguard.adapters import dsse, keys
from evoguard.adapters.latch_files import READ, latch_from
from evoguard.adapters.signer import read_command
from evoguard.domain.identity import Identity
from evoguard.domain.latch import MAX_EPOCH, Latch, LatchBoard, highest_believed
from evoguard.errors import AuthError, EvoguardError, InputError

PEOPLE_TO_LIFT = 2
LIFTS = "lifts"
_Mark = tuple[int, int, int, int, int]
# Each is a function of its arguments alone; a refusal is worked out again every time.
_latch_from = lru_cache(4096)(latch_from)
_read_command = lru_cache(4096)(read_command)


MISSING = "a latch that git's epoch knows is missing"


@dataclass(slots=True)
class _Seen:
    """What this process has read so far; latches are only ever added."""

    latches: dict[str, Latch] = field(default_factory=dict)
    files: dict[str, tuple[_Mark, bytes]] = field(default_factory=dict)
    known: dict[str, Latch] = field(default_factory=dict)
    identities: dict[str, Identity | None] = field(default_factory=dict)


class FileLatches:
    """Every kill in a folder, with lifts verified at each question.

    `identity` returns a registered identity or None, and raises when it has no answer: then the last answer counts.
    `known` returns latches that the event log knows; they stay in force without a file. One that it calls lifted still
    needs two people's signatures in the folder; only when those were filed is not asked again, for the log has seen
    them in time and a restored backup has new times. It must not block for long; when it raises, what it said before
    counts. `floor` is the epoch that kills left in git: above every
    known latch it shows that one was taken away; everything is killed then, until somebody kills again and two lift
    that.
    """

    def __init__(
        self,
        folder: Path,
        identity: Callable[[str], Identity | None],
        known: Callable[[], Iterable[Latch]] = tuple,
        floor: Callable[[], int] = int,
    ) -> None:
        self._folder = folder
        self._identity = identity
        self._known = known
        self._floor = floor
        self._seen = _Seen()

    def board(self) -> LatchBoard:
        """Return every kill, with lifts verified now. Never raises: what is unreadable is named so, and kills."""
        floor = self._git_epoch()  # before the latches: a kill writes its latch first
        with suppress(Exception):
            self._seen.known.update({latch.id: latch for latch in self._known()})
        unreadable = tuple(self._read_latches(floor if floor <= MAX_EPOCH else 0))
        latches = {
            (x.id, x.epoch, x.scope, x.name): x for x in (*self._seen.known.values(), *self._seen.latches.values())
        }
        if floor > max((latch.epoch for latch in latches.values()), default=0):
            unreadable = (*unreadable, MISSING)
        people = self._people_by_kill({latch.id for latch in latches.values()})
        return LatchBoard(
            latches=tuple(
                replace(latches[key], lifted=len(people.get(latches[key].id, ())) >= PEOPLE_TO_LIFT)
                for key in sorted(latches, key=lambda key: (key[1], key))
            ),
            unreadable=unreadable,
        )

    def mark(self) -> tuple[int, int]:
        """Return what differs as soon as a latch or a lift was filed, replaced or removed. Raises: OSError."""
        return os.stat(self._folder).st_mtime_ns, os.stat(self._folder / LIFTS).st_mtime_ns

    def _git_epoch(self) -> int:
        """Return the epoch that a kill left in git: the latch of that kill must be known, or it was taken away."""
        try:
            return self._floor()
        except EvoguardError:
            return sys.maxsize

    def lifters(self, kill_id: str) -> frozenset[str]:
        """Return the people whose valid lift of this kill lies in the folder, one for each distinct key."""
        return self._people_by_kill({kill_id}).get(kill_id, frozenset())

    def _read_latches(self, floor: int) -> Iterator[str]:
        """Remember every latch file; yield the name of each one that could not be read or is not what it was.

        One whose number leaps counts as unreadable: it kills like any other, and the next kill is numbered without it.
        """
        try:
            with _opened(self._folder) as folder:
                found = {name: self._latch(folder, name) for name in _names(folder)}
        except OSError:
            yield str(self._folder)
            return
        before = max((floor, *(x.epoch for x in (*self._seen.known.values(), *self._seen.latches.values()))))
        believed = highest_believed((latch.epoch for latch in found.values() if latch), trusted=before)
        for name, latch in found.items():
            if latch is None or latch.epoch > believed or self._seen.latches.setdefault(latch.id, latch) != latch:
                yield ascii(name)[1:-1][:100]

    def _latch(self, folder: int, name: str) -> Latch | None:
        try:
            return _latch_from(self._bytes(folder, name, name)[1], name.removesuffix(".json"))
        except (OSError, EvoguardError):
            return None

    def _people_by_kill(self, kills: set[str]) -> Mapping[str, frozenset[str]]:
        """Return who validly lifted which of these kills. A lift that cannot be read or proved is no lift."""
        people: dict[str, Identity | None] = {}
        by_key: dict[str, dict[str, str]] = {}
        with suppress(OSError), _opened(self._folder / LIFTS) as folder:
            for name in _names(folder):
                kill_id, _, person = name.removesuffix(".json").partition(".")
                if kill_id not in kills:
                    continue
                if person not in people:
                    people[person] = self._person(person)
                with suppress(OSError, EvoguardError):
                    key = self._proved(folder, name, kill_id, people[person])
                    by_key.setdefault(kill_id, {}).setdefault(key, person)
        return {kill_id: frozenset(found.values()) for kill_id, found in by_key.items()}

    def _proved(self, folder: int, name: str, kill_id: str, identity: Identity | None) -> str:
        """Return the fingerprint of the key that lifts `kill_id`. Raises: EvoguardError, OSError when nobody's does."""
        mark, raw = self._bytes(folder, name, f"{LIFTS}/{name}")
        if identity is None or identity.kind != "person":
            raise AuthError("not a registered person")
        command = _read_command(raw.decode("utf-8", "replace"), identity)
        if command.purpose != "lift" or command.subject != kill_id:
            raise AuthError("a signature for something else")
        # The change time is the kernel's: what expired before it was filed stays void, whoever copies it in. A lift
        # that the log has seen was in time, whatever a restored backup or a chmod did to its file since.
        known = self._seen.known.get(kill_id)
        if mark[4] >= command.expires * 1_000_000_000 and not (known and known.lifted):
            raise AuthError("expired before it was filed")
        return _fingerprint(identity.public_pem)

    def _person(self, name: str) -> Identity | None:
        try:
            self._seen.identities[name] = self._identity(name)
        except Exception:  # noqa: BLE001  (a lookup without an answer, whatever its reason, keeps the last answer)
            return self._seen.identities.get(name)
        return self._seen.identities[name]

    def _bytes(self, folder: int, name: str, key: str) -> tuple[_Mark, bytes]:
        """Return a regular file's mark and bytes, from memory while it is unchanged. Raises: OSError, InputError."""
        mark = _mark(os.stat(name, dir_fd=folder, follow_symlinks=False))
        held = self._seen.files.get(key)
        if held is not None and held[0] == mark:
            return held
        file = os.open(name, READ, dir_fd=folder)
        with os.fdopen(file, "rb") as opened:
            mark = _mark(os.fstat(file))
            raw = opened.read(dsse.MAX_BYTES + 1)
        if len(raw) > dsse.MAX_BYTES:
            raise InputError("too large")
        self._seen.files[key] = (mark, raw)
        return mark, raw


def _names(folder: int) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.endswith(".json"))


@lru_cache(1024)
def _fingerprint(pem: str) -> str:
    return keys.fingerprint(keys.load_public(pem.encode()))


def _mark(found: os.stat_result) -> _Mark:
    if not stat.S_ISREG(found.st_mode):
        raise InputError("not a regular file")
    return (found.st_ino, found.st_dev, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)
