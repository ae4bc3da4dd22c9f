"""What a change brings with it, laid out for people: dependencies, faults, advisories, weaker tests, blobs."""

from __future__ import annotations

from evoguard.cli.docs import Doc, docs_of
from evoguard.cli.text import line, table

SHOWN = 20


def brings_page(doc: object) -> None:
    """Print an inspection; a run without one has none."""
    if not isinstance(doc, dict) or not doc:
        return
    advice = doc["advisories"]
    line(f"brings: {doc['status']}{'; ' + doc['why'] if doc['why'] else ''}; advisories: {_said(advice)}")
    rows = docs_of(doc["dependencies"])
    if rows:
        names = ("what", "package", "version", "before", "pinned", "from", "named at", "to look at")
        table(names, (_row(row) for row in rows[:SHOWN]))
        _more(len(rows), "dependencies")
    places: list[tuple[object, str, object]] = [
        (row["why"], f"{row['path']}:{row['line']}", "cannot be read") for row in docs_of(doc["faults"])
    ]
    places += [(f"{row['id']} {row['severity']}", f"{row['path']}:{row['line']}", f"{row['name']} {row['version']}")
               for row in docs_of(doc["vulnerable"])]  # fmt: skip
    places += [(row["rule"], f"{row['path']}:{row['line']}", row["msg"])
               for name in ("weakened", "blobs", "capabilities") for row in docs_of(doc.get(name, []))]  # fmt: skip
    if places:
        table(("found", "at", "what"), places[:SHOWN])
        _more(len(places), "findings")
    line()


def _row(row: Doc) -> list[object]:
    looks = [
        f"looks like {row['alike']} ({row['how']})" if row["how"] else "",
        "install script" if row["scripts"] else "",
    ]
    looks.append(f"as {row['alias']}" if row["alias"] else "")
    return [
        row["change"], f"{row['ecosystem']} {row['name']}", row["version"], row["before"], row["pinned"], row["origin"],
        f"{row['path']}:{row['line']}", ", ".join(look for look in looks if look),
    ]  # fmt: skip


def _said(advice: object) -> str:
    if not isinstance(advice, dict) or advice.get("status") != "present":
        return f"{advice.get('status')} database" if isinstance(advice, dict) else "not told"
    return f"{advice['entries']} entries of {advice['digest']}"


def _more(count: int, what: str) -> None:
    if count > SHOWN:
        line(f"... and {count - SHOWN} more {what}; --json lists them")
