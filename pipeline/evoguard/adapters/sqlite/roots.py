"""Signed roots: each names the one before it, and the newest is also kept outside the database.

The file is written first, the database after it. So after kill -9 between the two the file leads by exactly one root,
never lags: whoever can write the database only cannot make that look like "nothing was signed". That root is put into
the database at the next round when the log still is what it signed; any other difference is refused and heals nothing.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from evoguard.adapters import durable
from evoguard.adapters.sqlite.db import transaction
from evoguard.domain.canonical import Digest, Json, digest_of
from evoguard.errors import EvoguardError, IntegrityError, UnavailableError
from evoguard.ports.clock import Clock
from evoguard.ports.signer import Signer

FILE = "newest-root.json"
"""The newest root's place in the state folder, beside the database."""
ROOT_TYPE = "urn:evoguard:event-log-root:v0.2"
LOOKS = 5
"""A root is signed once a second; two looks at the file around one at the database differ at most once."""
MEND = "keep a copy of this state; see `evoguard audit verify`; restore database and root file from one backup"
_DIGEST = re.compile(r"(sha256:[0-9a-f]{64})?\Z")


@dataclass(frozen=True, slots=True)
class Row:
    """A root as the database has it; nothing here is proved yet."""

    n: int
    seq: int
    bundle: bytes


@dataclass(frozen=True, slots=True)
class Root:
    """What a root's signed statement says."""

    n: int
    """1, 2, 3, ...: no root is left out."""
    seq: int
    """The newest event covered."""
    heads: Digest
    """Digest of the canonical list of (stream, version, hash) of every stream's newest event."""
    previous: str
    """Digest of the bundle before it; empty for the first."""
    bundle: bytes


def heads(con: sqlite3.Connection, upto_seq: int) -> list[Json]:
    """Return (stream, version, hash) of every stream's newest event at or below a sequence number."""
    rows = con.execute(
        "select stream, version, hash from events where seq in"
        " (select max(seq) from events where seq<=? group by stream) order by stream",
        (upto_seq,),
    )
    return [[str(r[0]), int(r[1]), str(r[2])] for r in rows]


def rows(con: sqlite3.Connection) -> list[Row]:
    """Return every root of the database in order."""
    return [_row(r) for r in con.execute("select n, seq, bundle from roots order by n")]


def kept(file: Path) -> bytes | None:
    """Return the newest root's bundle from its file, or None when there is no file. Raises: UnavailableError."""
    try:
        return file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as err:
        raise UnavailableError(
            "root file", f"{file.name} cannot be read: {err.strerror}", fix="check its mode"
        ) from err


async def read(signer: Signer, bundle: bytes) -> Root:
    """Return what a root says, its signature proved. Raises: IntegrityError when it is not a root of this key."""
    statement = await signer.verify(bundle)
    predicate, digests = statement.get("predicate"), _digests(statement.get("subject"))
    if statement.get("predicateType") != ROOT_TYPE or not isinstance(predicate, Mapping) or len(digests) != 1:
        raise IntegrityError("a signed statement stands where a root should be", code="audit.no_root")
    n, seq, previous = predicate.get("n"), predicate.get("seq"), predicate.get("previous")
    if type(n) is not int or type(seq) is not int or not isinstance(previous, str) or not _DIGEST.match(previous):
        raise IntegrityError("a root's statement has another shape", code="audit.no_root")
    return Root(n, seq, digests[0], previous, bundle)


def follows(root: Root, last: Row | None) -> bool:
    """Tell whether a root is the direct successor of the database's newest one, or the first of none."""
    return (root.n, root.previous) == ((last.n + 1, digest_of(last.bundle)) if last else (1, ""))


def covers(root: Root, tops: list[Json]) -> bool:
    """Tell whether these heads are what a root signed."""
    return digest_of(tops) == root.heads


async def newest(con: sqlite3.Connection, signer: Signer, file: Path) -> Root | None:
    """Return the newest root when file, database and log agree on it; None when nothing was ever signed.

    Raises: IntegrityError `audit.roots_vanished` when the database's newest root is neither the file's nor the one
    before it, `audit.log_rewritten` when the log is not what that root signed; UnavailableError.
    """
    last, bundle = pair(con, file)
    if bundle is None:
        if last is None:
            return None
        raise vanished(f"the database has {last.n} signed roots, and {file.name} is gone")
    try:
        root = await read(signer, bundle)
    except EvoguardError as err:
        raise vanished(f"{file.name} holds no root that this key signed") from err
    same = last is not None and (last.n, last.seq, last.bundle) == (root.n, root.seq, bundle)
    if not same and not follows(root, last):
        raise vanished(f"{file.name} holds root {root.n}, the database's newest is {last.n if last else 'none'}")
    if not covers(root, heads(con, root.seq)):
        raise IntegrityError(
            f"the log up to event {root.seq} is not what root {root.n} signed: it is not signed again",
            code="audit.log_rewritten",
            fix=MEND,
        )
    return root


async def sign_root(con: sqlite3.Connection, signer: Signer, clock: Clock, file: Path) -> bool:
    """Sign all heads when anything was appended since the last root; tell whether the database got a root.

    One process at a time may call this. Raises: IntegrityError as `newest` does, and nothing is signed then;
    UnavailableError when file or database cannot be written.
    """
    last, bundle = pair(con, file)
    upto = int(con.execute("select coalesce(max(seq), 0) from events").fetchone()[0])
    if last is None and bundle is None and upto == 0:
        return False
    if last is not None and last.bundle == bundle and last.seq == upto:
        return False
    before = await newest(con, signer, file)
    if before is not None and (last is None or last.n < before.n):  # killed after the file, before the commit
        _store(con, clock, before)
        return True
    n, previous = (before.n + 1, digest_of(before.bundle)) if before else (1, "")
    tops = heads(con, upto)
    digest = digest_of(tops)
    statement: Mapping[str, Json] = {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "heads", "digest": {"sha256": digest.removeprefix("sha256:")}}],
        "predicateType": ROOT_TYPE,
        "predicate": {"n": n, "previous": previous, "seq": upto, "streams": len(tops), "at": clock.now_ms()},
    }
    made = Root(n, upto, digest, previous, await signer.attest(statement))
    try:
        durable.write(file.parent, file.name, made.bundle, mode=0o600, replace=True)
    except OSError as err:
        raise UnavailableError("root file", f"{file.name} cannot be written: {err.strerror}", fix="check disk") from err
    _store(con, clock, made)
    return True


def pair(con: sqlite3.Connection, file: Path) -> tuple[Row | None, bytes | None]:
    """Return the database's newest root and the file's as they stood at one moment. Raises: UnavailableError."""
    for _ in range(LOOKS):
        bundle = kept(file)
        found = con.execute("select n, seq, bundle from roots order by n desc limit 1").fetchone()
        if kept(file) == bundle:
            return (_row(found) if found else None), bundle
    raise UnavailableError("root file", f"{file.name} changes all the time", fix="try again")


def vanished(why: str) -> IntegrityError:
    """Return the error of roots that are missing in the database or in their file."""
    return IntegrityError(f"signed roots are missing or replaced: {why}", code="audit.roots_vanished", fix=MEND)


def _store(con: sqlite3.Connection, clock: Clock, root: Root) -> None:
    with transaction(con):
        con.execute("insert into roots(n,at,seq,bundle) values(?,?,?,?)",
                    (root.n, clock.now_ms(), root.seq, root.bundle.decode()))  # fmt: skip


def _row(found: tuple[object, ...]) -> Row:
    n, seq, bundle = found
    return Row(int(str(n)), int(str(seq)), str(bundle).encode())


def _digests(subject: object) -> list[Digest]:
    found = []
    for item in subject if isinstance(subject, Iterable) else ():
        digest = item.get("digest") if isinstance(item, Mapping) else None
        if isinstance(digest, Mapping) and item.get("name") == "heads":
            found.append(Digest(f"sha256:{digest.get('sha256')}"))
    return found
