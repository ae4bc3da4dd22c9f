"""Writing into the kill folder: latches that are on the disk before anything else happens, and signed lifts."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

from evoguard.adapters import dsse, durable
from evoguard.domain.canonical import canonical
from evoguard.domain.identity import is_name
from evoguard.domain.latch import MAX_EPOCH, Latch, Scope, highest_believed
from evoguard.errors import EvoguardError, InputError, UnavailableError

LOCK_S = 2.0
"""How long a kill waits for another one's number; then it goes ahead, and two kills may share an epoch."""
READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
MAX_AT_S = 253_402_300_799  # the last second of the year 9999
_LOCK = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_SCOPES = ("all", "component", "flag")
_TEXTS = ("id", "scope", "name", "reason", "by")
_FIELDS = frozenset({"v", "epoch", "at", "signed", *_TEXTS})
_KILL_ID = re.compile(r"[a-z0-9][a-z0-9-]{7,63}\Z")


def is_kill_id(text: str) -> bool:
    """Tell whether `text` may be a kill's id: 8-64 of a-z, 0-9 and dash."""
    return bool(_KILL_ID.match(text))


def prepare(folder: Path) -> None:
    """Make the kill folder, 1770 whatever the umask, and the one for lifts in it. Raises: OSError.

    The sticky bit keeps a member of the group from removing a latch that another one wrote.
    """
    for made in (folder, folder / "lifts"):
        made.mkdir(exist_ok=True)
        made.chmod(0o1770)


def write_latch(
    folder: Path, asked: Latch, *, floor: int = 0, known: Iterable[Latch] = (), lock_s: float = LOCK_S
) -> Latch:
    """Put a kill in force and return it with its id and epoch, on the disk and read back.

    The epoch is one more than the highest in the folder, in `known` and `floor` (the repositories' epoch), but for
    latches that leap (domain/latch.py); what `asked` has as id and epoch is ignored. Raises: InputError for a latch
    that nobody could read back; UnavailableError when the disk refuses: then nothing is in force.
    """
    _check(asked)
    try:
        with _locked(folder, lock_s):
            trusted = max((floor, *(latch.epoch for latch in known)))
            highest = highest_believed(_epochs(folder), trusted=trusted)
            latch = replace(asked, id=f"kill-{secrets.token_hex(8)}", epoch=min(highest + 1, MAX_EPOCH), lifted=False)
            name = f"{latch.id}.json"
            durable.write(folder, name, canonical(latch.as_json()), mode=0o644)
            if latch_from((folder / name).read_bytes(), latch.id) != latch:
                raise UnavailableError("latches", "the latch reads back differently", fix="check the disk")
    except OSError as err:
        raise UnavailableError(
            "latches",
            f"NOTHING IS LATCHED: the kill folder {folder} refused: {err.strerror}",
            fix="kill from an account that may write there, or stop the flag server and the worker",
        ) from err
    return latch


def write_lift(folder: Path, kill_id: str, person: str, envelope: str) -> None:
    """File a person's signed lift, replacing an earlier one of theirs; who reads it verifies it.

    Raises: InputError for names that are none, UnavailableError when the disk refuses.
    """
    raw = envelope.encode("utf-8", "replace")
    if not is_kill_id(kill_id) or not is_name(person) or len(raw) > dsse.MAX_BYTES:
        raise InputError("not a kill id, a person's name and an envelope", code="lift.shape")
    try:
        durable.write(folder / "lifts", f"{kill_id}.{person}.json", raw, mode=0o644, replace=True)
    except OSError as err:
        raise UnavailableError(
            "latches", f"the lift was not filed: {err.strerror}", fix="mend the kill folder"
        ) from err


def latch_from(raw: bytes, kill_id: str) -> Latch:
    """Return the latch in a file named after `kill_id`. Raises: InputError for anything but one exact shape."""
    doc = dsse.strict_json(raw)
    if not isinstance(doc, dict) or set(doc) != _FIELDS or type(doc["v"]) is not int or doc["v"] != 1:
        raise InputError("not a latch of version 1", code="latch.shape")
    numbers, signed = (doc["epoch"], doc["at"]), doc["signed"] if doc["signed"] is not None else ""
    ends = (MAX_EPOCH, MAX_AT_S)
    if not all(isinstance(doc[name], str) for name in _TEXTS) or not isinstance(signed, str):
        raise InputError("a latch's text is none", code="latch.shape")
    if not all(type(n) is int and 0 <= n <= end for n, end in zip(numbers, ends, strict=True)) or doc["epoch"] == 0:
        raise InputError("a latch's number is out of range", code="latch.shape")
    if doc["id"] != kill_id or not is_kill_id(kill_id) or kill_id.startswith("abort-"):  # those name holds
        raise InputError("a latch bears its file's name", code="latch.shape")
    text = {name: cast("str", doc[name]) for name in _TEXTS}
    latch = Latch(
        id=kill_id,
        epoch=numbers[0],
        scope=cast("Scope", text["scope"]),
        name=text["name"],
        reason=text["reason"],
        by=text["by"],
        at=numbers[1],
        signed=signed,
    )
    _check(latch)
    return latch


def _check(latch: Latch) -> None:
    """Refuse a latch that would cover nothing, or would be too large to be read."""
    if latch.scope not in _SCOPES or (latch.scope == "all") == bool(latch.name):
        raise InputError("a kill covers `all`, or one named component or flag", code="latch.scope")
    try:
        fits = len(canonical(latch.as_json())) <= dsse.MAX_BYTES - 1024
    except ValueError as err:
        raise InputError("a latch's text cannot be encoded", code="latch.text") from err
    if not fits:
        raise InputError("a latch is too large", code="latch.size")


def _epochs(folder: Path) -> Iterator[int]:
    """Yield the epoch of every latch that can be read; one that cannot has no number to respect."""
    for path in folder.glob("*.json"):
        # Never waiting: a pipe, or a lease that somebody holds on their own latch, would keep this one late.
        with suppress(OSError, EvoguardError), os.fdopen(os.open(path, READ), "rb") as file:
            if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                yield latch_from(file.read(dsse.MAX_BYTES + 1), path.stem).epoch


@contextmanager
def _locked(folder: Path, lock_s: float) -> Iterator[None]:
    """Hold the folder's lock if it can be had within the time-box; a kill goes ahead without it."""
    with ExitStack() as stack:
        with suppress(OSError):
            lock = os.open(folder / ".lock", _LOCK, 0o666)
            stack.callback(os.close, lock)
            _try_lock(lock, time.monotonic() + lock_s)
        yield


def _try_lock(lock: int, until: float) -> None:
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() >= until:
                return
        time.sleep(0.01)
