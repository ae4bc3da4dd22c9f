"""What a verdict hangs on, as one key; which verdicts may be remembered; and a report as plain data and back.

Nothing in here decides when a remembered verdict may be used, and nothing signs: whoever keeps reports does.
Whatever is not known to leave the verdict alone is part of the key, so a field that is added later is, too.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from functools import cache
from pathlib import Path
from typing import Any

from evoguard_sandbox.rooms.room import Room
from evoguard_sandbox.store import digest_of
from evoguard_sandbox.trees import TreeError, read_tree
from evoguard_sandbox.types import (
    Behaviour,
    Connect,
    Files,
    Finding,
    Limits,
    Suite,
    SuiteReport,
    TestResult,
    Usage,
)

FORMAT = 2
"""Of keys and reports; another one is another key."""
TREES = frozenset({"base_files", "candidate_files", "held_out"})
LAYERS = frozenset({"layer_dirs", "candidate_layer_dirs"})
KEPT = frozenset({"pass", "fail"})


def key_of(suite: Suite, *, limits: Limits, room: Room) -> str | None:
    """Return `sha256:…` of everything that can change the verdict; None for a tree that is refused.

    Raises: SandboxError when a layer or the room cannot be read: what is not known has no key.
    """
    try:
        trees = {name: _tree_digest(getattr(suite, name), limits) for name in sorted(TREES)}
    except TreeError:
        return None
    layers = {name: _layer_digests(getattr(suite, name)) for name in sorted(LAYERS)}
    words = {f.name: getattr(suite, f.name) for f in fields(suite) if f.name not in TREES | LAYERS}
    told = {
        "format": FORMAT,
        "trees": trees,
        "layers": layers,
        "suite": words,
        "limits": asdict(limits),
        "room": about(room),
    }
    return f"sha256:{hashlib.sha256(json.dumps(told, sort_keys=True, default=_no_default).encode()).hexdigest()}"


def about(room: Room) -> dict[str, str | int | bool]:
    """Return what a room is made of: gVisor, machine, this code, and the image with runner, interpreter and guest."""
    return {
        "runsc": room.runsc_version,
        "program": "" if room.engines else _file_digest(room.runsc),
        "backend": room.backend.name,
        "isolation": room.isolation,
        "rootless": room.rootless,
        "image": room.image,
        "python": f"{room.python.name} {_file_digest(room.python.prefix / 'bin' / room.python.name)}",
        "machine": f"{platform.machine()} {platform.release()}",
        "cores": len(os.sched_getaffinity(0)),
        "code": code_digest(),
    }


@cache
def code_digest() -> str:
    """Return the digest of this package's programs, the guest's with them, as they were when first asked for."""
    digest, here = hashlib.sha256(), Path(__file__).parents[1]
    for path in sorted(here.rglob("*.py")):
        data = path.read_bytes()
        digest.update(json.dumps([path.relative_to(here).as_posix(), len(data)]).encode() + data)
    return digest.hexdigest()


def may_be_kept(report: SuiteReport) -> bool:
    """Tell whether a report says what any other run would: a plain pass or fail, at the first attempt, of all runs."""
    whole = report.verdict in KEPT and report.passed is (report.verdict == "pass") and report.outcome == "finished"
    steady = report.attempts == 1 and not report.unstable and not report.early
    proved = bool(report.kernel and report.isolation and report.expected)
    return whole and steady and proved


def as_json(report: SuiteReport) -> dict[str, Any]:
    """Return a report as plain JSON."""
    return asdict(report)


def report_of(doc: Mapping[str, Any]) -> SuiteReport:
    """Return the report that `as_json` gave. Raises: ValueError when it is not one."""
    try:
        if set(doc) != {f.name for f in fields(SuiteReport)}:
            raise ValueError("a report has other fields")
        seen = doc["behaviour"]
        behaviour = Behaviour(**{**seen, "connects": _many(Connect, seen["connects"]),
                                 "programs": tuple(seen["programs"]), "files": tuple(seen["files"])})  # fmt: skip
        parts: dict[str, Any] = {
            "behaviour": behaviour,
            "usage": Usage(**doc["usage"]),
            "findings": _many(Finding, doc["findings"]),
            "review": _many(Finding, doc["review"]),
            "tests": _many(TestResult, doc["tests"]),
            "new_tests": _many(TestResult, doc["new_tests"]),
        }
        rest: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in doc.items()}
        return SuiteReport(**{**rest, **parts})
    except (KeyError, TypeError, AttributeError) as err:
        raise ValueError("not a report") from err


def _many(make: Callable[..., Any], rows: list[dict[str, Any]]) -> tuple[Any, ...]:
    return tuple(make(**row) for row in rows)


def _tree_digest(files: Files | bytes, limits: Limits) -> str:
    digest = hashlib.sha256()
    for path, entry in sorted(read_tree(files, limits).items()):
        digest.update(json.dumps([path, entry.kind, len(entry.data)]).encode() + entry.data)
    return digest.hexdigest()


def _layer_digests(folders: tuple[Path, ...] | None) -> list[str] | None:
    return None if folders is None else [digest_of(folder) for folder in folders]


def _file_digest(path: Path) -> str:
    seen = path.resolve().stat()
    return _hashed(path.resolve(), seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_ino)


@cache
def _hashed(path: Path, *_: int) -> str:
    """Return a program's digest, once for the same size, times and inode."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _no_default(value: object) -> object:
    raise TypeError(f"{type(value).__name__} has no place in a key")
