"""Verbs about what a change brings with it: sbom, and osv for the database of advisories."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.docs import docs_of
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import facts, line, note, table

SHOWN = 200
DAY_S = 86_400
osv = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None,
    help="Known vulnerabilities, from a database that you hand over: the guard fetches nothing.",
)  # fmt: skip


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    example = "evoguard sbom ch-0123456789ab > bom.json\nevoguard sbom ch-0123456789ab --diff"
    verb(app, "sbom", example=example)(sbom)
    verb(osv, "import", example="evoguard osv import PyPI-all.zip\nevoguard osv import ./advisories")(osv_import)
    verb(osv, "status", example="evoguard osv status --json")(osv_status)
    app.add_typer(osv, name="osv")


def sbom(
    session: Session,
    change: Annotated[str, typer.Argument(metavar="CHANGE", help="A change that was checked.")],
    *,
    diff: Annotated[
        bool, typer.Option("--diff", help="What it adds, removes and changes, not the whole bill.")
    ] = False,
    base: Annotated[bool, typer.Option("--base", help="The bill of the base instead.")] = False,
) -> int:
    """Print a change's bill of material (CycloneDX 1.5 JSON), as it was stored when the change was checked."""
    from evoguard.views.supply import bill
    from evoguard.wiring.reading import Reading

    which = "difference" if diff else "base" if base else "head"
    with session.opened() as opened:
        doc = run(bill(Reading(opened), change, which))
    if diff:
        session.answer(doc, lambda: _difference_page(doc))
    else:
        session.answer(doc, lambda: print(json.dumps(doc, indent=2)))
    return exit_codes.DONE


def osv_import(
    session: Session,
    source: Annotated[Path, typer.Argument(metavar="FILE.zip|DIR", help="A database in OSV format.")],
) -> int:
    """Import a database of advisories and use it from now on. It replaces the one before; an odd one is refused."""
    from evoguard.cli.progress import progress
    from evoguard.wiring.supplying import take

    with session.opened() as opened, progress("reading the database"):
        now_s = opened.clock.now_ms() // 1000
        doc = take(opened.settings, source, now_s)
    session.answer(doc, lambda: _database_page(doc, now_s))
    return exit_codes.DONE


def osv_status(session: Session) -> int:
    """Show which database of advisories is in use, how old it is, and prove it. Exit 1 when it is not as imported."""
    from evoguard.wiring.supplying import in_use

    with session.opened() as opened:
        now_s = opened.clock.now_ms() // 1000
        advice = in_use(opened.settings)
    doc = {**advice.as_json(), "age_days": _age(advice.imported, advice.newest, now_s) if advice.imported else None}
    session.answer(doc, lambda: _database_page(doc, now_s))
    if advice.status == "none":
        note("nobody imported a database; see evoguard osv import --help")
    return exit_codes.ERROR if advice.status == "damaged" else exit_codes.DONE


def _age(imported: int, newest: int, now_s: int) -> int:
    return max(0, now_s - min(imported, newest)) // DAY_S


def _database_page(doc: Mapping[str, object], now_s: int) -> None:
    imported, newest = int(str(doc.get("imported") or 0)), int(str(doc.get("newest") or 0))
    counted = cast("Mapping[str, object]", doc.get("ecosystems") or {})
    facts(
        [("status", doc.get("status", "imported")), ("digest", doc.get("digest", "")), ("entries", doc["entries"])]
        + [(f"  {name}", number) for name, number in counted.items()]
        + ([("imported", _moment(imported)), ("newest entry", _moment(newest))] if imported else [])
        + ([("age", f"{_age(imported, newest, now_s)} days")] if imported else [])
    )


def _moment(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")


def _difference_page(doc: Mapping[str, object]) -> None:
    rows = [
        (what, row["package"], ", ".join(map(str, cast("list[str]", row.get("before", [])))),
         ", ".join(map(str, cast("list[str]", row.get("after", [])))))
        for what in ("added", "changed", "removed") for row in docs_of(doc[what])
    ]  # fmt: skip
    if not rows:
        line("no package is added, removed or changed")
        return
    table(("what", "package", "before", "after"), rows[:SHOWN])
    if len(rows) > SHOWN:
        line(f"... and {len(rows) - SHOWN} more; --json lists them")
