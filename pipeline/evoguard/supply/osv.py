"""Advisories in OSV format: what is kept of an entry, and whether a version is affected.

Source: OSV schema 1.6. A version or a range that nobody can order counts as affected: people look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from packaging.version import InvalidVersion, Version

from evoguard.domain.canonical import Json
from evoguard.supply import cvss, semver
from evoguard.supply.python import normal
from evoguard.supply.types import short

ECOSYSTEMS = ("PyPI", "npm", "Go", "crates.io", "GitHub Actions")
"""Those whose versions are compared here; entries of others are counted and left out."""
SEVERITIES = ("malicious", "critical", "high", "moderate", "low", "unknown")
MOST_AFFECTED, MOST_EVENTS, MOST_VERSIONS = 2_000, 2_000, 50_000
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{1,99}\Z")
_TIME = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(\.\d{1,9})?(Z|[+-]\d{2}:\d{2})\Z")
Doc = Mapping[str, object]


class OsvError(ValueError):
    """An entry that is none."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What is stored of one entry for one package: `row` is plain JSON."""

    ecosystem: str
    name: str
    row: Mapping[str, Json]
    modified: int
    """Unix seconds."""


def kept(entry: object) -> Iterator[Kept]:
    """Yield what is kept of an entry, by package; a withdrawn one has nothing. Raises: OsvError for a wrong type."""
    doc = _table(entry, "an entry")
    id_, modified = _text(doc, "id"), _moment(_text(doc, "modified"))
    if not _ID.match(id_):
        raise OsvError(f"id {short(id_, 40)!r} is none")
    if "withdrawn" in doc:
        _moment(_text(doc, "withdrawn"))
        return
    for affected in _rows(doc, "affected", MOST_AFFECTED):
        package = _table(affected.get("package", {}), "affected.package")
        ecosystem, name = str(package.get("ecosystem", "")), str(package.get("name", ""))
        if ecosystem not in ECOSYSTEMS or not name:
            continue
        row: dict[str, Json] = {
            "id": id_, "severity": _severity(id_, doc, affected), "ranges": [*_ranges(affected)],
            "versions": [*_texts(affected, "versions", MOST_VERSIONS)],
        }  # fmt: skip
        yield Kept(ecosystem, name_of(ecosystem, name), row, modified)


def name_of(ecosystem: str, name: str) -> str:
    """Return a package's name as its ecosystem compares names."""
    if ecosystem == "PyPI":
        return normal(name)
    if ecosystem == "crates.io":
        return name.lower().replace("_", "-")
    return name.lower() if ecosystem == "GitHub Actions" else name


def affects(ecosystem: str, row: Doc, version: str) -> bool:
    """Tell whether a stored row covers a version. One that cannot be ordered is affected."""
    listed, ranges = row.get("versions"), row.get("ranges")
    if isinstance(listed, list) and any(_same(ecosystem, one, version) for one in listed):
        return True
    if not isinstance(ranges, list) or not ranges:
        return not listed  # it names neither versions nor ranges: all are meant
    return any(_inside(ecosystem, events, version) for events in ranges if isinstance(events, list))


def _same(ecosystem: str, one: object, version: str) -> bool:
    if one == version:
        return True
    a, b = _key(ecosystem, str(one)), _key(ecosystem, version)
    return a is not None and a == b


def _inside(ecosystem: str, events: Sequence[object], version: str) -> bool:
    at = _key(ecosystem, version)
    if at is None:
        return True
    bounds: list[tuple[object, int, str]] = []
    for event in events:
        kind, _, said = str(event).partition(" ")
        key = _key(ecosystem, said) if said != "0" else _key(ecosystem, "0.0.0-0")
        if key is None:
            return True
        bounds.append((key, 0 if kind == "introduced" else 1, kind))
    inside = False
    for key, _, kind in sorted(bounds, key=lambda bound: bound[:2]):
        if kind == "introduced":
            inside = inside or not at < key  # type: ignore[operator]  # as above
        elif (at >= key) if kind == "fixed" else (at > key):  # type: ignore[operator]  # as above
            inside = False
    return inside


def _key(ecosystem: str, version: str) -> object | None:
    """Return what orders a version in its ecosystem, or None when nobody can."""
    if ecosystem == "PyPI":
        try:
            return Version("0.dev0" if version == "0.0.0-0" else version)
        except InvalidVersion:
            return None
    return semver.loose(version)


def _severity(id_: str, doc: Doc, affected: Doc) -> str:
    """Return the worst that the entry says; `unknown` when it says nothing that is understood."""
    if id_.startswith("MAL-"):
        return "malicious"
    said: set[str] = set()
    for part in (doc, affected):
        about = part.get("database_specific")
        text = str(about.get("severity", "")).lower() if isinstance(about, Mapping) else ""
        said.add({"medium": "moderate"}.get(text, text))
        for row in _rows(part, "severity", 20):
            said.add(cvss.word(str(row.get("score", ""))))
    return next((one for one in SEVERITIES if one in said), "unknown")


def _ranges(affected: Doc) -> Iterator[list[Json]]:
    for found in _rows(affected, "ranges", MOST_AFFECTED):
        kind = _text(found, "type")
        if kind not in ("SEMVER", "ECOSYSTEM", "GIT"):
            raise OsvError(f"range type {short(kind, 40)!r} is unknown")
        events: list[Json] = []
        for event in _rows(found, "events", MOST_EVENTS):
            for name in ("introduced", "fixed", "last_affected"):
                if name in event:
                    events.append(f"{name} {_text(event, name)[:100]}")
        if kind != "GIT" and events:
            yield events


def _rows(doc: Doc, name: str, most: int) -> list[Doc]:
    rows = doc.get(name, [])
    if rows is None:
        return []
    if not isinstance(rows, list) or len(rows) > most:
        raise OsvError(f"{name} is no list, or has more than {most:,}")
    return [_table(row, name) for row in rows]


def _texts(doc: Doc, name: str, most: int) -> Iterator[str]:
    rows = doc.get(name) or []
    if not isinstance(rows, list) or len(rows) > most or not all(isinstance(row, str) for row in rows):
        raise OsvError(f"{name} is no list of texts, or has more than {most:,}")
    yield from (row[:100] for row in rows)


def _table(value: object, what: str) -> Doc:
    if not isinstance(value, Mapping):
        raise OsvError(f"{what} is no table")
    return value


def _text(doc: Doc, name: str) -> str:
    value = doc.get(name)
    if not isinstance(value, str):
        raise OsvError(f"{name} is no text")
    return value


def _moment(text: str) -> int:
    found = _TIME.match(text)
    if found is None:
        raise OsvError(f"{short(text, 40)!r} is no time")
    try:
        moment = datetime.fromisoformat(found.group(1) + found.group(3).replace("Z", "+00:00"))
    except ValueError as err:
        raise OsvError(f"{short(text, 40)!r} is no time") from err
    return int(moment.astimezone(UTC).timestamp())
