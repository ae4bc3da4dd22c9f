"""Flags that no rollout writes: an Unleash features document of the operator's, served beside the guarded flags.

It can only add. A guarded flag keeps its name, a kill covers these flags as well, and a document that an SDK could
not read is refused whole: an SDK drops a message that it cannot parse, and with it a kill that stands in it.
Source: docs/adr/0013-an-unleash-server.md
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evoguard.domain.canonical import Json, canonical
from evoguard.errors import InputError

MAX_BYTES = 2 << 20
MAX_FEATURES, MAX_SEGMENTS, MAX_NAME = 2_000, 500, 200
Feature = Mapping[str, Json]
PROBE = "\n"
"""A name that no feature can have."""
_TEXTS = ("type", "project", "description")
_CLAIMS = ("stale", "impressionData")


@dataclass(frozen=True, slots=True)
class Both:
    """One feature's document as it was given, and as a kill has it."""

    given: bytes
    off: bytes


@dataclass(frozen=True, slots=True)
class Unguarded:
    """Features by name and segments by id, as they were given, down to the fields that we do not know."""

    features: Mapping[str, Both]
    segments: Mapping[int, bytes]


NONE = Unguarded({}, {})


def parsed(raw: bytes) -> Unguarded:
    """Return the features and segments of a document as `/api/client/features` serves it; numbers are whole.

    Raises: InputError `unguarded.invalid`, which names the first feature that is wrong.
    """
    if len(raw) > MAX_BYTES:
        raise _wrong(f"it is larger than {MAX_BYTES >> 20} MiB")
    try:
        doc = json.loads(raw)
        canonical(doc)
    except (ValueError, TypeError, RecursionError) as err:
        raise _wrong("it is not JSON, or has numbers that are not whole or letters that are none") from err
    if not isinstance(doc, dict):
        raise _wrong("it is not a JSON object")
    features = _named(_list(doc, "features", MAX_FEATURES))
    segments = {_segment_id(one): one for one in _list(doc, "segments", MAX_SEGMENTS)}
    if len(segments) != len(doc.get("segments", ())):
        raise _wrong("two segments have the same id")
    _readable(features, segments)
    return Unguarded(
        {name: Both(canonical(row), canonical({**row, "enabled": False})) for name, row in features.items()},
        {number: canonical(row) for number, row in segments.items()},
    )


def _list(doc: Mapping[str, Json], name: str, most: int) -> list[dict[str, Json]]:
    rows = doc.get(name, [])
    if not isinstance(rows, list) or len(rows) > most or not all(isinstance(row, dict) for row in rows):
        raise _wrong(f"{name} is a list of at most {most} objects")
    return rows


def _named(rows: Iterable[Feature]) -> dict[str, Feature]:
    found: dict[str, Feature] = {}
    for row in rows:
        name = row.get("name")
        if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME or not _visible(name):
            raise _wrong(f"a feature's name is 1 to {MAX_NAME} visible characters")
        if name in found:
            raise _wrong(f"two features are called {name[:60]!a}")
        _typed(name, row)
        found[name] = row
    return found


def _visible(name: str) -> bool:
    return not any(unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") for letter in name)


def _typed(name: str, row: Feature) -> None:
    """Refuse what one SDK reads as on and another as off, or not at all. Raises: InputError."""
    strategies = row.get("strategies", [])
    if not isinstance(row.get("enabled"), bool):
        raise _wrong(f"{name[:60]!a}: enabled is true or false")
    if not isinstance(strategies, list) or not all(
        isinstance(one, dict) and isinstance(one.get("name"), str) for one in strategies
    ):
        raise _wrong(f"{name[:60]!a}: strategies is a list of objects with a name")
    for key in ("variants", "dependencies"):
        if not isinstance(row.get(key) or [], list):
            raise _wrong(f"{name[:60]!a}: {key} is a list")
    if not all(isinstance(row.get(key) or "", str) for key in _TEXTS):
        raise _wrong(f"{name[:60]!a}: type, project and description are texts")
    if not all(isinstance(row.get(key) or False, bool) for key in _CLAIMS):
        raise _wrong(f"{name[:60]!a}: stale and impressionData are true or false")


def _segment_id(row: Feature) -> int:
    number = row.get("id")
    if isinstance(number, bool) or not isinstance(number, int) or not 0 <= number < 1 << 31:
        raise _wrong("a segment's id is a whole number of 32 bits")
    if not isinstance(row.get("constraints"), list):
        raise _wrong(f"segment {number}: constraints is a list")
    return number


def _readable(features: Mapping[str, Feature], segments: Mapping[int, Feature]) -> None:
    """Ask the engine of the SDKs whether it reads the document. Raises: InputError."""
    if _read(features.values(), segments.values()) == {PROBE, *features}:
        return
    if _read((), segments.values()) != {PROBE}:
        raise _wrong("SDKs do not read its segments")
    for name, row in features.items():
        if _read((row,), segments.values()) != {PROBE, name}:
            raise _wrong(f"SDKs do not read {name[:60]!a}")
    raise _wrong("SDKs do not read it")


def _read(features: Iterable[Feature], segments: Iterable[Feature]) -> set[str]:
    """Return the names that the engine knows after it was given these; none when it dropped them all."""
    from yggdrasil_engine.engine import UnleashEngine  # type: ignore[import-untyped]  # the package has no types

    rows: list[Json] = [*features, {"name": PROBE, "enabled": False, "strategies": []}]
    engine = UnleashEngine()
    engine.take_state(canonical({"version": 2, "features": rows, "segments": [*segments]}).decode())
    return {str(one.name) for one in engine.list_known_toggles()}


def _wrong(why: str) -> InputError:
    return InputError(
        f"the document of unguarded flags is refused: {why}",
        code="unguarded.invalid",
        fix="give it as /api/client/features of an Unleash server answers; the one before stays in force",
    )
