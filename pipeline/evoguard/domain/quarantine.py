"""Tests that people set aside for a time because they do not come out the same each time: `[[policy.quarantine]]`.

Read from `.evoguard.toml` of the base commit, a guard path: an agent cannot set its own tests aside. An entry that has
run out, or that runs further ahead than the policies allow (90 days), counts for nothing (`evidence.unstable_tests`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from unicodedata import normalize

from evoguard.domain.canonical import Json

MOST, ID_CHARS, TEXT_CHARS = 100, 1_100, 300
KEYS = ("test", "until", "reason", "owner")


@dataclass(frozen=True, slots=True)
class Quarantine:
    """One test set aside until a moment (unix seconds, the first second of the day that is named, in UTC)."""

    test: str
    until: int
    reason: str
    owner: str

    def as_json(self) -> dict[str, Json]:
        """Return the entry as policies read it."""
        return {"test": self.test, "until": self.until, "reason": self.reason, "owner": self.owner}


def quarantines(value: object) -> tuple[Quarantine, ...]:
    """Return the entries of a list of tables {test, until, reason, owner}; `until` is a date without a time.

    Raises: ValueError with the words for a person, when an entry is anything else, or a test is named twice.
    """
    if not isinstance(value, list) or len(value) > MOST:
        raise ValueError(f"policy.quarantine is a list of at most {MOST} tables")
    found = tuple(_one(entry, n) for n, entry in enumerate(value, start=1))
    if len({entry.test for entry in found}) != len(found):
        raise ValueError("policy.quarantine names a test twice")
    return found


def _one(entry: object, n: int) -> Quarantine:
    where = f"policy.quarantine number {n}"
    if not isinstance(entry, Mapping) or set(entry) != set(KEYS):
        raise ValueError(f"{where} is a table of {', '.join(KEYS)}")
    until = entry["until"]
    if not isinstance(until, date) or isinstance(until, datetime) or until.year < 1971:
        raise ValueError(f"{where}: until is a date, as 2027-01-31 without quotes")
    test = _text(entry["test"], ID_CHARS, f"{where}: test is an id as `evoguard evidence` shows it")
    if "::" not in test:
        raise ValueError(f"{where}: test is an id as `evoguard evidence` shows it, path::name")
    reason = _text(entry["reason"], TEXT_CHARS, f"{where}: reason is a short text")
    owner = _text(entry["owner"], TEXT_CHARS, f"{where}: owner names who mends it")
    return Quarantine(test, int(datetime.combine(until, time(), UTC).timestamp()), reason, owner)


def _text(value: object, most: int, otherwise: str) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > most or "\0" in value:
        raise ValueError(otherwise)
    return normalize("NFC", value)
