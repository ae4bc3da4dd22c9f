"""`evoguard exam`: does every gate of this installation hold something, and nothing else in its place?"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Annotated, Any, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, verb
from evoguard.cli.text import line, note, table

exam = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Attack every gate of the installed guard, with it and without it.",
)
Row = Mapping[str, object]


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    example = (
        "evoguard exam gates                       # about a minute; exit 1 when a gate holds nothing\n"
        "evoguard exam gates git.epoch change.secret\nevoguard exam gates --list\nevoguard exam gates --json"
    )
    verb(exam, "gates", example=example)(gates)
    app.add_typer(exam, name="exam")


def gates(
    session: Session,
    names: Annotated[list[str] | None, typer.Argument(help="Only these; else all.", metavar="[GATE]...")] = None,
    listed: Annotated[bool, typer.Option("--list", help="Name the gates and their attacks; examine none.")] = False,
) -> int:
    """Take out each gate in turn, in this process's memory, and show the attack that then goes through.

    Each attack runs on an installation of its own in a temporary folder: real SQLite, git, rules and latch files, no
    sandbox, nothing of yours. A gate passes when its attack is refused with it and goes through without it. Where
    other gates refuse the same attack, they are named, examined themselves, and taken out as well.
    """
    room: Any = importlib.import_module("evoguard.exam.running")  # a neighbour: found when asked for, never imported
    if listed:
        rows = [{"gate": g.name, "attack": g.what, "backed_by": list(g.backed_by)} for g in room.GATES]
        session.answer({"gates": rows}, lambda: table(("gate", "attack"), ([r["gate"], r["attack"]] for r in rows)))
        return exit_codes.DONE
    wanted = len(names or room.GATES)
    done = 0

    def tell(result: Any) -> None:  # noqa: ANN401  (the neighbour's own)
        nonlocal done
        done += 1
        if result.why or done % 20 == 0:
            note(f"... {done} of {wanted} examined" if not result.why else f"{result.gate.name}: {result.why}")

    doc = cast("Mapping[str, object]", room.examine(names or (), tell=tell))
    session.answer(doc, lambda: _page(doc))
    return exit_codes.DONE if doc["ok"] else exit_codes.ERROR


def _page(doc: Mapping[str, object]) -> None:
    rows = cast("list[Row]", doc["gates"])
    heads = ("gate", "attack", "with it", "without it", "also held by", "")
    table(heads, ([row["gate"], row["attack"], row["finding"], "goes through" if row["ok"] else row["without"],
                   ", ".join(cast("list[str]", row["backed_by"])), "ok" if row["ok"] else row["why"]]
                  for row in rows))  # fmt: skip
    line(f"{doc['held']} of {doc['examined']} gates hold the attack that goes through without them ({doc['wall_s']} s)")
    left = cast("list[str]", doc["not_examined"])
    line(f"not examined: {len(left)} refusals, most of them of malformed input")
    for one in left:
        line(f"  {one}")
