"""Verdicts that were computed here before, as evidence signed by the runner's key and stored under what they hang on.

An entry is one file: a DSSE envelope on the first line, the report's bytes after it, named by digest in the statement.
Whatever is wrong with one, it is not used and the suite runs again. An entry only repeats what was told before.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

from cryptography.hazmat.primitives.asymmetric import ec

from evoguard.adapters import dsse, durable, keys
from evoguard.domain.attestation import STATEMENT_TYPE
from evoguard.domain.canonical import Json, canonical, digest_of
from evoguard.errors import ConfigError, EvoguardError
from evoguard_sandbox import SuiteReport
from evoguard_sandbox.judging.cached import FORMAT, as_json, report_of

INTOTO_TYPE = "application/vnd.in-toto+json"
PREDICATE_TYPE = "evoguard:sandbox-verdict/v1"
KEY_FILE, PUBLIC_FILE = "runner.key", "runner.pub"
MAX_ENTRY_BYTES, MOST_ENTRIES = 16 << 20, 500


@dataclass(slots=True)
class Counts:
    """What was asked of the cache: `refused` counts entries that were there and not believed."""

    hits: int = 0
    misses: int = 0
    refused: int = 0
    stored: int = 0
    why: str = ""
    """Why the last one was refused."""


def runner_key(folder: Path) -> Path:
    """Return the runner's private key file in the folder of keys, made with its public half when there is none.

    Raises: ConfigError when it cannot be made.
    """
    path = folder / KEY_FILE
    if not path.exists():
        public = keys.generate(path)
        durable.write(folder, PUBLIC_FILE, public, mode=0o644, replace=True)
    return path


class VerdictCache:
    """Entries in one folder of this user alone. The key that verifies is the runner's own, never one in an entry."""

    def __init__(self, folder: Path, key_path: Path) -> None:
        self._folder, self._key_path = folder, key_path
        self.counts = Counts()

    @cached_property
    def _key(self) -> ec.EllipticCurvePrivateKey:
        return keys.load_private(self._key_path)

    def get(self, key: str) -> SuiteReport | None:
        """Return the report that this runner signed for exactly this key, or None; what is not believed is removed."""
        path = self._path(key)
        try:
            raw = self._read(path)
            if raw is None:
                self.counts.misses += 1
                return None
            report = _believed(raw, key, self._key.public_key())
        except (EvoguardError, OSError, ValueError) as err:
            self.counts.refused += 1
            self.counts.why = str(err)[:200]
            with suppress(OSError):  # a folder stays; it is not believed either
                path.unlink()
            return None
        self.counts.hits += 1
        return report

    def put(self, key: str, report: SuiteReport) -> None:
        """Store a report that may be kept; one that cannot be stored is counted, for a verdict needs no cache."""
        try:
            self._put(key, report)
        except (EvoguardError, OSError) as err:
            self.counts.why = str(err)[:200]
        else:
            self.counts.stored += 1

    def _put(self, key: str, report: SuiteReport) -> None:
        body = json.dumps(as_json(report), sort_keys=True).encode()
        statement: dict[str, Json] = {
            "_type": STATEMENT_TYPE,
            "subject": [{"name": "report", "digest": {"sha256": digest_of(body).removeprefix("sha256:")}}],
            "predicateType": PREDICATE_TYPE,
            "predicate": {"format": FORMAT, "key": key, "verdict": report.verdict},
        }
        raw = dsse.seal(INTOTO_TYPE, canonical(statement), self._key).encode() + b"\n" + body
        if len(raw) > MAX_ENTRY_BYTES:
            raise OSError("the report is too large to be kept")
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._private()
        self._make_room()
        durable.write(self._folder, self._path(key).name, raw, mode=0o600, replace=True)

    def _path(self, key: str) -> Path:
        return self._folder / key.removeprefix("sha256:")

    def _private(self) -> None:
        seen = self._folder.lstat()
        if not stat.S_ISDIR(seen.st_mode) or seen.st_mode & 0o077 or seen.st_uid != os.geteuid():
            raise ConfigError(
                f"{self._folder} is not ours alone", code="cache.exposed", fix=f"remove it, or chmod 700 {self._folder}"
            )

    def _read(self, path: Path) -> bytes | None:
        """Return an entry's bytes, None when there is none. Raises: OSError, ConfigError, ValueError."""
        if not self._folder.exists():
            return None
        self._private()
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise ValueError("an entry is no plain file")
            raw = file.read(MAX_ENTRY_BYTES + 1)
        if len(raw) > MAX_ENTRY_BYTES:
            raise ValueError("an entry is too large")
        return raw

    def _make_room(self) -> None:
        """Remove the oldest entries so that there is room for one more."""
        found = sorted(self._folder.iterdir(), key=lambda path: path.lstat().st_mtime)
        for path in found[: max(0, len(found) - MOST_ENTRIES + 1)]:
            path.unlink(missing_ok=True)


def _believed(raw: bytes, key: str, runner: ec.EllipticCurvePublicKey) -> SuiteReport:
    """Return the report of an entry that says all that `put` would have said. Raises: EvoguardError, ValueError."""
    envelope, cut, body = raw.partition(b"\n")
    statement = dsse.strict_json(dsse.unseal(dsse.strict_json(envelope), INTOTO_TYPE, runner))
    if not isinstance(statement, Mapping) or not cut:
        raise ValueError("no statement")
    expected = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "report", "digest": {"sha256": digest_of(body).removeprefix("sha256:")}}],
        "predicateType": PREDICATE_TYPE,
    }
    predicate = cast("Mapping[str, object]", statement.get("predicate"))
    if {name: statement.get(name) for name in expected} != expected or not isinstance(predicate, Mapping):
        raise ValueError("the statement is not about this report")
    report = report_of(json.loads(body))
    if dict(predicate) != {"format": FORMAT, "key": key, "verdict": report.verdict}:
        raise ValueError("the statement is about another key or format")
    if report.verdict not in ("pass", "fail") or report.passed is not (report.verdict == "pass"):
        raise ValueError("a verdict that is never kept")
    return report
