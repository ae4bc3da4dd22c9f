"""The verb that breaks rules on purpose: policy mutate."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, verb
from evoguard.cli.text import line, table

Row = Mapping[str, object]


def attach(policy: typer.Typer) -> None:
    """Add this file's verb to `policy`."""
    example = "evoguard policy mutate rules --sample 40\nevoguard policy mutate rules --rule change.secret"
    verb(policy, "mutate", example=example)(policy_mutate)


def policy_mutate(
    session: Session,
    folder: Annotated[
        Path | None, typer.Argument(metavar="[FOLDER]", help="A folder of policies; else the sources that ship.")
    ] = None,
    *,
    sample: Annotated[
        int | None, typer.Option("--sample", metavar="N", min=1, help="So many edits, drawn by --seed.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Other numbers draw others.")] = 1,
    rules: Annotated[
        list[str] | None, typer.Option("--rule", metavar="CODE", help="Only this rule; may stand more than once.")
    ] = None,
    opa: Annotated[
        Path | None, typer.Option("--opa", metavar="FILE", help="OPA; else as `policy test` finds it.")
    ] = None,
) -> int:
    """Break each rule by one small edit at a time, and see whether a test of the rules turns red.

    A condition dropped or turned into its opposite, a comparison moved by one, a number one higher, findings put into
    another set. What a test notices is killed. Exit code 1 when under 95 % are, with each survivor's place. All edits
    of the rules that ship take some minutes; --sample 40 answers sooner.
    """
    from evoguard.cli.progress import progress
    from evoguard.wiring import authoring

    with progress("breaking the rules") as say:
        doc = authoring.mutated(
            folder, opa, rules=rules or (), sample=sample or 0, seed=seed,
            told=lambda done, of, survived: say(f"{done} of {of} edits judged, {survived} survived"),
        ).as_json()  # fmt: skip
    session.answer(doc, lambda: _page(doc))
    return exit_codes.DONE if doc["ok"] else exit_codes.ERROR


def _page(doc: Row) -> None:
    files = cast("list[Row]", doc["files"])
    names = ("file", "killed", "survived", "invalid")
    table(names, ([row[name] for name in names] for row in files))
    for one in cast("list[Row]", doc["survivors"]):
        line(f"  SURVIVED {one['file']}:{one['line']}: {one['before']}  ->  {one['after'] or '(dropped)'}")
    share, least = (cast("int", doc[name]) / 10 for name in ("killed_permille", "least_permille"))
    line(f"{doc['killed']} killed, {doc['survived']} survived, {doc['invalid']} did not compile, of {doc['made']}:"
         f" {share:g} %, at least {least:g} % must be")  # fmt: skip
