"""The database on disk: sorted rows of `ecosystem TAB name TAB JSON` below one line that says what it is.

`<folder>/<64 hex>.tsv` holds the bytes whose digest is its name, `<folder>/CURRENT` the digest in use. When and from
what it was made stands in the file itself, so an older or younger date is another digest.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import stat
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from evoguard.adapters import durable
from evoguard.adapters.advisories.source import entries
from evoguard.domain.canonical import Json, canonical
from evoguard.errors import InputError, UnavailableError
from evoguard.ports.advisories import Advice, Package
from evoguard.supply.osv import OsvError, kept

CURRENT, ENDING, FORMAT = "CURRENT", ".tsv", 1
MOST_FILE_BYTES, MOST_LINE_BYTES, MOST_ROWS = 2 << 30, 8 << 20, 20_000
"""The database; one row of it; rows that one question may bring back."""


class OsvStore:
    """The database of one state folder. Reading takes it whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def of(self, packages: Iterable[Package]) -> Advice:
        """Return what is known of packages; `damaged` when the file is not the one that was imported.

        Raises: UnavailableError when the disk refuses.
        """
        return await asyncio.to_thread(self.look_up, frozenset(packages))

    def look_up(self, packages: frozenset[Package]) -> Advice:
        """Do what `of` does, here and now."""
        try:
            name = self._current()
            return Advice("none") if name is None else self._proved(name, packages)
        except (ValueError, KeyError, TypeError, RecursionError):
            return Advice("damaged")
        except FileNotFoundError:
            return Advice("damaged")
        except OSError as err:
            raise UnavailableError("advisories", f"unreadable: {err.strerror}", fix="mend the state folder") from err

    def take(self, source: Path, now_s: int) -> Mapping[str, Json]:
        """Import a database and use it from now on; nothing changes when it is refused. Raises: InputError."""
        rows, newest, counted = _read(source)
        head: dict[str, Json] = {
            "format": FORMAT, "imported": now_s, "newest": newest, "entries": counted.total(),
            "ecosystems": dict(sorted(counted.items())),
        }  # fmt: skip
        lines = [canonical(head), *(row for row in sorted(rows))]
        raw = b"\n".join(lines) + b"\n"
        if len(raw) > MOST_FILE_BYTES:
            raise InputError("the database is larger than 2 GiB", code="osv.refused", fix="import fewer ecosystems")
        digest = hashlib.sha256(raw).hexdigest()
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            before = self._current()
            durable.write(self._folder, digest + ENDING, raw, mode=0o600, replace=True)
            durable.write(self._folder, CURRENT, f"{digest}\n".encode(), mode=0o600, replace=True)
            if before not in (None, digest):
                with suppress(FileNotFoundError):
                    (self._folder / f"{before}{ENDING}").unlink()
        except (OSError, ValueError) as err:
            raise UnavailableError("advisories", "nothing was stored", fix="free space in the state folder") from err
        return {"digest": f"sha256:{digest}", **head}

    def _current(self) -> str | None:
        """Return the digest in use, or None. Raises: ValueError for a pointer that is none, OSError."""
        try:
            raw = _open(self._folder / CURRENT)
        except FileNotFoundError:
            return None
        with os.fdopen(raw, "rb") as file:
            name = file.read(100).decode("ascii").strip()
        if len(name) != 64 or set(name) - set("0123456789abcdef"):
            raise ValueError("no digest")
        return name

    def _proved(self, name: str, packages: frozenset[Package]) -> Advice:
        """Read the file once: what it says counts only when all of it has the digest of its name."""
        wanted = {f"{ecosystem}\t{package}\t".encode() for ecosystem, package in packages}
        found: dict[Package, list[Mapping[str, Json]]] = defaultdict(list)
        seen = hashlib.sha256()
        count = 0
        with os.fdopen(_open(self._folder / f"{name}{ENDING}"), "rb") as file:
            first = file.readline(MOST_LINE_BYTES)
            seen.update(first)
            while line := file.readline(MOST_LINE_BYTES):
                seen.update(line)
                key = line[: line.find(b"\t", line.find(b"\t") + 1) + 1]
                if key in wanted and count < MOST_ROWS:
                    ecosystem, package, row = line.decode("utf-8").split("\t", 2)
                    found[ecosystem, package].append(json.loads(row))
                    count += 1
        if seen.hexdigest() != name or count >= MOST_ROWS:
            return Advice("damaged", f"sha256:{name}")
        head = json.loads(first)
        return Advice("present", f"sha256:{name}", head["imported"], head["newest"], head["entries"], dict(found))


def _open(path: Path) -> int:
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise ValueError("no plain file")
    return file


def _read(source: Path) -> tuple[set[bytes], int, Counter[str]]:
    """Return rows, the newest change (unix s) and how many entries of each ecosystem were kept."""
    rows: set[bytes] = set()
    ids: set[str] = set()
    newest, counted = 0, Counter[str]()
    for name, entry in entries(source):
        try:
            found = list(kept(entry))
        except OsvError as err:
            raise InputError(f"{name[:80]!a}: {err}", code="osv.refused", fix="fetch the database again") from err
        id_ = str(entry.get("id")) if isinstance(entry, Mapping) else ""
        if id_ in ids:
            raise InputError(f"{id_[:80]!a} stands there twice", code="osv.refused", fix="fetch the database again")
        ids.add(id_)
        for one in found:
            if any(char in one.name for char in "\t\n\r\0") or len(one.name) > 300:
                raise InputError(f"{name[:80]!a} names no package", code="osv.refused", fix="fetch the database again")
            newest = max(newest, one.modified)
            rows.add(f"{one.ecosystem}\t{one.name}\t".encode() + canonical(one.row))
        counted.update({one.ecosystem for one in found})
    if not rows:
        raise InputError("nothing in it is of an ecosystem that is compared here", code="osv.empty",
                         fix="import PyPI, npm, Go or GitHub Actions")  # fmt: skip
    return rows, newest, counted
