"""What the author's verbs print for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from evoguard.cli.text import facts, line, table

Row = Mapping[str, object]


def files_page(doc: Row, said: str) -> None:
    """Print files, one a line, and what to do next."""
    for path in cast("list[str]", doc["files"]):
        line(path)
    line(said)


def built_page(doc: Row) -> None:
    """Print the bundle's name and what it holds."""
    facts((name, doc[name]) for name in ("bundle", "folder", "rules", "tests", "opa", "signed_with"))
    line(f"next: `evoguard policy diff --text {doc['folder']}`, `evoguard policy backtest --bundle {doc['folder']}`")


def lint_page(doc: Row) -> None:
    """Print every problem with its place and mend, and what was looked at."""
    problems = cast("list[Row]", doc["problems"])
    if problems:
        rows = ([_place(row), row["code"], row["msg"], row["fix"]] for row in problems)
        table(("where", "code", "problem", "fix"), rows)
    line(f"{len(problems)} problems in {doc['files']} files, {doc['rules']} rules")
    line(doc["regal"])


def tested_page(doc: Row) -> None:
    """Print each rule with what its tests cover, each failed test with its place, and the count."""
    files = [row for row in cast("list[Row]", doc.get("files", []))]
    if files:
        names = ("rule", "severity", "lines", "at least", "fires", "silent")
        table(names, (_covered(row) for row in files))
    for row in files:
        for why in cast("list[str]", row["problems"]):
            line(f"  TOO LITTLE {row['file']}: {why}")
    for test in cast("list[Row]", doc["tests"]):
        if not test["passed"]:
            place = f"{test['file']}:{test['line']}: " if "file" in test else ""
            why = f": {test['why']}" if "why" in test else ""
            line(f"  FAILED {place}{test['name']}{why}")
    bundle = f", bundle {doc['bundle']}, {doc['bundle_is']}" if "bundle" in doc else ""
    line(f"{doc['passed']} passed, {doc['failed']} failed{bundle}")
    if files and doc["failed"]:
        line("coverage was not measured: it is when all tests are green")


def _covered(row: Row) -> list[object]:
    share, sets = cast("int | None", row["covered_permille"]), cast("list[str]", row["sets"])
    return [
        row["code"] or row["file"], row["severity"] or "(shared)", "-" if share is None else f"{share / 10:g} %",
        f"{row['bar_percent']} %", _needed(row["fires"], sets), _needed(row["silent"], sets),
    ]  # fmt: skip


def _needed(found: object, sets: list[str]) -> str:
    if not isinstance(found, list) or not sets:
        return "-"
    return "yes" if sorted(found) == sorted(sets) else f"not {', '.join(sorted({*sets} - {*found}))}"


def _place(row: Row) -> str:
    return f"{row['file']}:{row['line']}" if row["line"] else str(row["file"])
