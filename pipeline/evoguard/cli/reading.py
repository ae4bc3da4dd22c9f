"""Verbs that only look: status, list, show, diff, impact, evidence, watch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, emit, run, verb
from evoguard.cli.text import line, note, shown, table

SHOWN_BYTES = 4 << 20
ChangeArgument = Annotated[str, typer.Argument(metavar="ID", help="The change's id.")]


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    verb(app, "status", example="evoguard status\nevoguard status ch-0123456789ab; echo $?")(status)
    verb(app, "list", example="evoguard list --open\nevoguard list --json")(list_)
    verb(app, "show", example="evoguard show ch-0123456789ab")(show)
    verb(app, "diff", example="evoguard diff ch-0123456789ab | less")(diff)
    verb(app, "impact", example="evoguard impact ch-0123456789ab\nevoguard impact ch-0123456789ab --json")(impact)
    verb(app, "evidence", example="evoguard evidence ch-0123456789ab")(evidence)
    verb(app, "watch", example="evoguard watch ch-0123456789ab --until paused --timeout 120 --json")(watch)


def status(session: Session, change: Annotated[str, typer.Argument(metavar="[ID]", help="A change's id.")] = "") -> int:
    """Show what is open and killed; with ID, where that change stands, and exit with its code."""
    from evoguard.cli.pages import overview_page, row_page
    from evoguard.views.changes import found, from_row, overview
    from evoguard.wiring.reading import Reading

    with session.opened() as opened:
        if change:
            row = run(found(Reading(opened), change))
            doc: Mapping[str, object] = from_row(row)
            session.answer(doc, lambda: row_page(doc))
            return exit_codes.of_standing(row.status, row.outcome, row.detail)
        board = opened.latches.board()
        doc = {"state": str(opened.settings.state), **run(overview(Reading(opened), board))}
    session.answer(doc, lambda: overview_page(doc))
    return exit_codes.DONE


def list_(
    session: Session, open_only: Annotated[bool, typer.Option("--open", help="Only those on their way.")] = False
) -> int:
    """List changes, newest first."""
    from evoguard.views.changes import from_row
    from evoguard.wiring.reading import Reading

    with session.opened() as opened:
        rows = [from_row(row) for row in run(Reading(opened).changes(open_only=open_only))]
    names = ("change", "status", "percent", "component", "author", "updated", "intent")
    session.answer({"changes": rows}, lambda: table(names, ([row[name] for name in names] for row in rows)))
    return exit_codes.DONE


def show(session: Session, change: ChangeArgument) -> int:
    """Tell a change's whole story: every step, who, why, what was seen, under which digest."""
    from evoguard.cli.pages import story_page
    from evoguard.views.story import story
    from evoguard.wiring.reading import Reading

    with session.opened() as opened:
        doc = run(story(Reading(opened), change))
    session.answer(doc, lambda: story_page(doc))
    by_hand = exit_codes.of_standing(str(doc["status"]), str(doc["outcome"]), str(doc["detail"])) == exit_codes.WAITING
    return exit_codes.WAITING if by_hand and doc["status"] == "reverting" else exit_codes.DONE


def diff(session: Session, change: ChangeArgument) -> int:
    """Show what a change changes, as the guard has it: the very commits whose digest people sign."""
    from evoguard.views.changes import found
    from evoguard.wiring.reading import Reading, patch_of

    with session.opened() as opened:
        row = run(found(Reading(opened), change))
        text, cut = run(patch_of(opened, row, most_bytes=SHOWN_BYTES))

    def tell() -> None:
        for one in text.split("\n")[:-1]:
            # A return inside a line would write over what stands there; tabs are what they are.
            print("\t".join(map(shown, one.split("\t"))))
        if cut:
            note(f"cut off after {SHOWN_BYTES >> 20} MiB")

    session.answer({"change": change, "base": row.base, "head": row.head, "patch": text, "cut_off": cut}, tell)
    return exit_codes.DONE


def impact(session: Session, change: ChangeArgument) -> int:
    """Show how risky a change is at least, line by line of the sum, and what depends on what it changes."""
    from evoguard.cli.impact_page import impact_page
    from evoguard.views.impact import impact as seen
    from evoguard.wiring.reading import Reading

    with session.opened() as opened:
        doc = run(seen(Reading(opened), change))
    session.answer(doc, lambda: impact_page(doc))
    return exit_codes.DONE


def evidence(session: Session, change: ChangeArgument) -> int:
    """Show a change's isolated run: each layer's catch, tests by outcome and time, what it tried to reach."""
    from evoguard.cli.evidence_page import evidence_page
    from evoguard.views.evidence import evidence as seen
    from evoguard.wiring.reading import Reading

    with session.opened() as opened:
        doc = run(seen(Reading(opened), change))
    session.answer(doc, lambda: evidence_page(doc))
    return exit_codes.DONE


def watch(
    session: Session,
    change: ChangeArgument,
    until: Annotated[
        str, typer.Option("--until", metavar="paused|done", help="Stop when it waits for people, or at its end.")
    ] = "done",
    timeout: Annotated[
        int, typer.Option("--timeout", min=0, metavar="S", help="Seconds at most; 0: as long as it takes.")
    ] = 0,
) -> int:
    """Follow a change live, one line (with --json one object) an event, and exit with the code of its end."""
    from evoguard.cli.watching import Step, Watch, watched
    from evoguard.errors import InputError

    if until not in ("paused", "done"):
        raise InputError("--until is paused or done", code="usage", fix="evoguard watch --help")

    def tell(step: Step) -> None:
        if session.json:
            emit(step.as_json())
        else:
            line(step.line())

    with session.opened() as opened:
        what = Watch(change, until="paused" if until == "paused" else "done", timeout_s=timeout)
        end = run(watched(opened, what, on_step=tell))
    session.answer({"change": change, **end.as_json()}, end.tell)
    return end.exit
