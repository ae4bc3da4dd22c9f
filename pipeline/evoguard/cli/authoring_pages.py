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
    facts((name, doc[name]) for name in ("bundle", "folder", "rules", "tests", "opa"))
    line(f"next: `evoguard policy diff --text {doc['folder']}`, `evoguard policy backtest --bundle {doc['folder']}`")


def lint_page(doc: Row) -> None:
    """Print every problem with its place and mend, and what was looked at."""
    problems = cast("list[Row]", doc["problems"])
    if problems:
        rows = ([_place(row), row["code"], row["msg"], row["fix"]] for row in problems)
        table(("where", "code", "problem", "fix"), rows)
    line(f"{len(problems)} problems in {doc['files']} files, {doc['rules']} rules")
    line(doc["regal"])


def _place(row: Row) -> str:
    return f"{row['file']}:{row['line']}" if row["line"] else str(row["file"])
