"""A change's risk and reach laid out for people: the sum line by line, then who and what is behind the change."""

from __future__ import annotations

from collections.abc import Sequence

from evoguard.cli.docs import Doc, doc_of, docs_of, rows_of
from evoguard.cli.text import facts, line, table

SHOWN = 20
WORDS = {
    "lines": "lines that differ, with the author's other changes of 24 hours",
    "folders": "folders, the same",
    "files": "files, the same",
    "fixes": "fixes of these files in 180 days",
    "young": "a file is new or younger than 7 days",
    "authors": "authors of these files, by who signed",
    "newcomer": "2: no merge here yet, or an agent; 1: fewer than five",
    "weakened_tests": "tests that were removed or lost lines",
    "unknown": "files whose reach cannot be told",
    "place": "the most delicate place",
    "unreadable": "a least: binary or unlisted files",
    "day_lines": "a least: lines of the author in 24 hours",
    "guard_paths": "a least: paths of the guard itself",
}


def impact_page(doc: Doc) -> None:
    """Print one change's impact."""
    risk = f"{doc['risk']} of 1000" + (f"; the floor is {doc['floor']}" if doc["risk"] != doc["floor"] else "")
    model = "none asked" if doc["model"] is None else doc["model"]
    own = [(name, doc[name]) for name in ("author", "component", "impact")]
    facts([("change", doc["change"]), ("risk", risk), ("model", model), *own])
    line()
    rows = docs_of(doc["features"])
    table(("points", "value", "measured", "what it is"), ([r["points"], r["value"], r["name"], _what(r)] for r in rows))
    counts = doc_of(doc["counts"])
    _symbols(doc_of(doc["symbols"]))
    _listed(f"{counts.get('dependants')} files depend on it", docs_of(doc["dependants"]))
    _names(f"{counts.get('tests')} tests reach it", rows_of(doc["tests"]))
    facts([("components", _joined(doc["components"])), ("flags", _joined(doc["flags"]))])
    for path, names in list(doc_of(doc["owners"]).items())[:SHOWN]:
        facts([("owner", f"{path}: {_joined(names)}")])
    for path, why in list(doc_of(doc["unknown"]).items())[:SHOWN]:
        facts([("NOT KNOWN", f"what depends on {path}: {why}")])


def _what(row: Doc) -> str:
    words = WORDS.get(str(row["name"]), "")
    return f"{words}: {row['note']}" if row.get("note") else words


def _symbols(symbols: Doc) -> None:
    if symbols:
        line("changed")
        table(("file", "symbols"), ([path, _joined(names)] for path, names in list(symbols.items())[:SHOWN]))


def _listed(title: str, rows: Sequence[Doc]) -> None:
    line(title)
    if rows:
        table(("steps away", "file", "names"), ([r["distance"], r["path"], _joined(r["names"])] for r in rows[:SHOWN]))
        _more(len(rows))


def _names(title: str, rows: Sequence[object]) -> None:
    line(title)
    for path in rows[:SHOWN]:
        line(f"  {path}")
    _more(len(rows))


def _more(count: int) -> None:
    if count > SHOWN:
        line(f"... and {count - SHOWN} more; --json lists at most 200")


def _joined(names: object) -> str:
    return ", ".join(str(name) for name in rows_of(names))
