"""Versions in a bare folder that services read: bytes under their digest, and for each flag what is known to be good.

    <folder>/sha256/ab/<62 hex>    a version; every read is proved against its name
    <folder>/pins/<flag>.json      {"v":1,"flag":…,"known_good":[newest first],"candidate":digest or ""}

All writes are whole or not there. A copy of the folder on another machine is as good as this one.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters import durable
from evoguard.domain.canonical import Digest, Json, as_digest, canonical, digest_of
from evoguard.domain.flag import is_flag_name
from evoguard.domain.version import MOST_BYTES
from evoguard.errors import InputError, IntegrityError, UnavailableError

MOST_PIN_BYTES, MOST_KNOWN_GOOD = 8_192, 5
MOST_AGE_S, MOST_STORED_BYTES = 30 * 86_400, 256 << 20
"""From which age, or beyond which size, versions that are not pinned are removed."""
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Pins:
    """What a flag's callers may be given: known-good versions, newest first, and the candidate of an open rollout."""

    known_good: tuple[Digest, ...] = ()
    candidate: Digest | None = None


class FileVersions:
    """The store in one folder. `most_age_s` and `most_bytes` bound what is not pinned."""

    def __init__(
        self, folder: Path, *, most_age_s: int = MOST_AGE_S, most_bytes: int = MOST_STORED_BYTES,
        now: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self._folder, self._now = folder, now
        self._most_age_s, self._most_bytes = most_age_s, most_bytes

    async def keep(self, raw: bytes) -> Digest:
        """As the port says. Raises also: InputError for more than a version may be."""
        return await asyncio.to_thread(self._keep, raw)

    async def pin(self, flag: str, known_good: Digest, candidate: Digest | None = None) -> None:
        """As the port says; what no flag pins and is too old or too much is removed after it."""
        await asyncio.to_thread(self.pin_now, flag, known_good, candidate)

    def read(self, digest: str) -> bytes:
        """Return a version's bytes, proved just now. Raises: IntegrityError; UnavailableError; InputError."""
        path = self._path(digest)
        try:
            raw = _bounded(path, MOST_BYTES)
        except FileNotFoundError as err:
            raise IntegrityError(f"{digest} is not in the store", code="version.unknown") from err
        except OSError as err:
            raise UnavailableError("versions", f"unreadable: {err.strerror}") from err
        if digest_of(raw) != digest:
            raise IntegrityError(f"{digest} was changed", code="version.changed", fix="release again, or restore it")
        return raw

    def pins(self, flag: str) -> Pins:
        """Return what is pinned for a flag; nothing for one that was never rolled out.

        Raises: IntegrityError for a file that is not as it was written; UnavailableError; InputError.
        """
        try:
            return _pins(_bounded(self._pin_path(flag), MOST_PIN_BYTES), flag)
        except FileNotFoundError:
            return Pins()
        except OSError as err:
            raise UnavailableError("versions", f"unreadable: {err.strerror}") from err

    def pin_now(self, flag: str, known_good: Digest, candidate: Digest | None = None) -> None:
        """Do what `pin` does, here and now."""
        for digest in (known_good, *([candidate] if candidate else [])):
            self.read(digest)
        try:
            earlier = self.pins(flag).known_good
        except IntegrityError:
            earlier = ()  # what is pinned now is known; what was pinned before is not
        if known_good in earlier:
            earlier = earlier[earlier.index(known_good) + 1 :]
        try:
            self._write(flag, (known_good, *earlier)[:MOST_KNOWN_GOOD], candidate)
            self.sweep()
        except OSError as err:
            raise UnavailableError("versions", f"nothing was pinned: {err.strerror}") from err

    def unpin_now(self, flag: str, candidate: Digest) -> None:
        """Take a version out of what is pinned for a flag, known-good or not; with nothing left nothing is pinned.

        Raises: IntegrityError, UnavailableError, InputError.
        """
        now = self.pins(flag)
        kept = tuple(one for one in now.known_good if one != candidate)
        try:
            if kept:
                self._write(flag, kept, None)
            elif now.known_good:
                path = self._pin_path(flag)
                path.unlink(missing_ok=True)
                durable.sync(path.parent)
        except OSError as err:
            raise UnavailableError("versions", f"it is still pinned: {err.strerror}") from err

    def _write(self, flag: str, known_good: tuple[Digest, ...], candidate: Digest | None) -> None:
        doc: dict[str, Json] = {"v": 1, "flag": flag, "known_good": [*known_good], "candidate": candidate or ""}
        path = self._pin_path(flag)
        _make(self._folder, path.parent)
        durable.write(path.parent, path.name, canonical(doc), mode=0o600, replace=True)

    def sweep(self) -> int:
        """Remove what is too old or too much and not pinned, oldest first; return how many went.

        While one pin cannot be read nothing is removed: what it names is not known.
        """
        try:
            pinned = self._pinned()
        except (IntegrityError, UnavailableError, InputError):
            return 0
        loose = sorted((at, size, path) for path, at, size in self._stored() if _digest(path) not in pinned)
        total, gone = sum(size for _, size, _ in loose), 0
        for at, size, path in loose:
            if self._now() - at > self._most_age_s or total > self._most_bytes:
                path.unlink(missing_ok=True)
                total, gone = total - size, gone + 1
        return gone

    def _pinned(self) -> frozenset[str]:
        found: set[str] = set()
        for path in sorted((self._folder / "pins").glob("*.json")):
            pins = self.pins(path.stem)
            found |= {*pins.known_good, *([pins.candidate] if pins.candidate else [])}
        return frozenset(found)

    def _stored(self) -> Iterator[tuple[Path, float, int]]:
        for path in (self._folder / "sha256").glob("??/*"):
            stat = path.lstat()
            yield path, stat.st_mtime, stat.st_size

    def _keep(self, raw: bytes) -> Digest:
        if len(raw) > MOST_BYTES:
            raise InputError("larger than a version may be", code="version.invalid")
        digest = digest_of(raw)
        path = self._path(digest)
        try:
            _make(self._folder, path.parent)
            durable.write(path.parent, path.name, raw, mode=0o600, replace=True)  # anew: its age begins again
        except OSError as err:
            raise UnavailableError("versions", f"nothing was stored: {err.strerror}", fix="free space") from err
        return digest

    def _path(self, digest: str) -> Path:
        try:
            name = as_digest(digest).removeprefix("sha256:")
        except ValueError as err:
            raise InputError(str(err), code="version.digest") from err
        return self._folder / "sha256" / name[:2] / name[2:]

    def _pin_path(self, flag: str) -> Path:
        if not is_flag_name(flag):
            raise InputError("a flag has a plain name", code="flag.invalid")
        return self._folder / "pins" / f"{flag}.json"


def _pins(raw: bytes, flag: str) -> Pins:
    try:
        doc = json.loads(raw)
        if set(doc) != {"v", "flag", "known_good", "candidate"} or doc["v"] != 1 or doc["flag"] != flag:
            raise ValueError("other fields")
        if not isinstance(doc["known_good"], list) or not 1 <= len(doc["known_good"]) <= MOST_KNOWN_GOOD:
            raise ValueError("no known-good")
        known_good = tuple(as_digest(one) for one in doc["known_good"])
        return Pins(known_good, as_digest(doc["candidate"]) if doc["candidate"] else None)
    except (ValueError, TypeError, RecursionError) as err:
        text = f"what is pinned for {flag} is not as it was written"
        raise IntegrityError(text, code="version.pins", fix="restore the file, or release again") from err


def _bounded(path: Path, most: int) -> bytes:
    with os.fdopen(os.open(path, _READ), "rb") as file:
        raw = file.read(most + 1)
    if len(raw) > most:
        raise IntegrityError(f"{path.name[:12]} is larger than it can be", code="version.changed")
    return raw


def _digest(path: Path) -> str:
    return f"sha256:{path.parent.name}{path.name}"


def _make(top: Path, leaf: Path) -> None:
    for folder in (top, leaf.parent, leaf):
        if not folder.is_dir():
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            durable.sync(folder.parent)
