"""Verbs that stop, start again and rehearse: kill, lift, drill. They open no database of their own and load no flow."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import As, Session, SignWith, run, verb
from evoguard.cli.text import line, note

if TYPE_CHECKING:
    from evoguard.domain.latch import Scope
    from evoguard.kill import KillReport
    from evoguard.settings import Settings


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    example = 'evoguard kill all --reason "pager"\nevoguard kill flag:pricing --reason "wrong" --as bob --sign-with bob'
    example += '\nevoguard kill lending-pricing --reason "flag or component, whichever it is"'
    verb(app, "kill", example=example)(kill)
    verb(app, "lift", example="evoguard lift kill-0123456789abcdef --as bob --sign-with bob")(lift)
    verb(app, "drill", example="evoguard drill\nevoguard drill --last --json")(drill)


def kill(
    session: Session,
    *,
    what: Annotated[
        str, typer.Argument(metavar="FLAG|COMPONENT|all", help="all, flag:NAME, component:NAME, or NAME for both.")
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; kept in the latch and the event log.")],
    person: Annotated[
        str, typer.Option("--as", metavar="PERSON", help="A registered person: then the author is quarantined.")
    ] = "",
    sign_with: Annotated[
        Path | None, typer.Option("--sign-with", metavar="KEY", help="That person's private key.")
    ] = None,
    by: Annotated[
        str, typer.Option("--by", metavar="NAME", help="Who asks, when nobody signs; else the account's name.")
    ] = "",
) -> int:
    """Turn it off now, then say what is confirmed off. Works while worker, database and flag server are dead."""
    from evoguard.errors import InputError

    if bool(person) != (sign_with is not None):
        raise InputError("--as and --sign-with belong together", code="usage", fix="pass both, or neither and --by")
    orders, settings = scopes(what), session.settings_or_defaults()
    signing = _usable(settings, person, sign_with)
    reports = run(_kill(settings, orders, reason, person or by, signing))
    status, known = _status(reports), _known(settings, orders)
    doc = {
        "kills": [{**r.as_json(), "known": k} for r, k in zip(reports, known, strict=True)],
        "latched": all(r.latched for r in reports),
        "known": _any(known),
        "signed": signing is not None,
        "exit": status,
    }
    session.answer(doc, lambda: _told(reports))
    _say_what_is_known(what, known)
    return status


def lift(
    session: Session,
    kill_id: Annotated[str, typer.Argument(metavar="KILL_ID", help="`evoguard status` shows it.")],
    person: As,
    sign_with: SignWith,
) -> int:
    """Sign that a kill may end. It ends when two people signed; nothing that was decided before comes back."""
    from evoguard.wiring.kill import run_lift

    done = run(run_lift(session.settings(), kill_id=kill_id, person=person, key=sign_with))
    doc = {
        "kill": done.kill_id,
        "people": list(done.people),
        "needed": done.needed,
        "lifted": done.lifted,
        "unreadable": list(done.unreadable),
    }
    rest = "lifted" if done.lifted else f"in force; {done.needed - len(done.people)} more must lift it"
    session.answer(doc, lambda: line(f"{done.kill_id}: {', '.join(done.people)} signed; {rest}"))
    if done.unreadable and not session.json:
        note(f"EVERYTHING STAYS KILLED: unreadable latches: {', '.join(done.unreadable)}")
    return exit_codes.DONE if done.lifted and not done.unreadable else exit_codes.WAITING


def drill(
    session: Session,
    last: Annotated[bool, typer.Option("--last", help="Show the newest rehearsal instead of a new one.")] = False,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who rehearses; else the account's name.")] = "",
) -> int:
    """Rehearse the kill on a flag that nobody uses: order, latch, push to a client, and a write that must be refused.

    What is served to users is not touched. The latch of the drill's own flag stays in the kill folder.
    """
    from evoguard.errors import InputError
    from evoguard.wiring.drill import last_drill, run_drill
    from evoguard.wiring.kill import account

    if last:
        found = last_drill(session.settings())
        if found is None:
            raise InputError("the kill was never rehearsed here", code="drill.none", fix="evoguard drill")
        doc = {"at": found[0], **found[1]}
    else:
        doc = dict(run(run_drill(session.settings(), by=by or account())).as_json())
    session.answer(doc, lambda: _rehearsed(doc))
    return exit_codes.DONE if doc["ok"] else exit_codes.ERROR


def _rehearsed(doc: Mapping[str, object]) -> None:
    def ms(name: str) -> str:
        return "NOT TOLD" if doc[name] == -1 else f"{doc[name]} ms"

    line(f"{doc['kill'] or 'NOT LATCHED'}  flag {doc['flag']}")
    line(f"  told to a client that streams  {ms('stream_off_ms')}")
    line(f"  told to a client that polls    {ms('poll_off_ms')}")
    line(f"  confirmed by the flag server   {'yes' if doc['acknowledged'] else 'NO'}")
    line(f"  turning it on again            {'refused' if doc['refused'] else 'NOT REFUSED'}")
    note(f"THE KILL DOES NOT WORK: {doc['fault']}" if doc["fault"] else "the kill works on this machine")


def scopes(what: str) -> list[tuple[Scope, str]]:
    """Return what to latch; a bare name is latched as flag and as component: nothing must be looked up."""
    from evoguard.errors import InputError

    kind, colon, name = what.partition(":")
    if what == "all":
        return [("all", "")]
    if colon and kind == "flag" and name:
        return [("flag", name)]
    if colon and kind == "component" and name:
        return [("component", name)]
    if colon or not what:
        raise InputError(
            "a kill names all, flag:NAME, component:NAME or NAME", code="kill.scope", fix="evoguard kill --help"
        )
    return [("flag", what), ("component", what)]


def _usable(settings: Settings, person: str, key: Path | None) -> Path | None:
    """Return the key when it opens and is a registered person's.

    One that is not must not keep anything running: the kill goes on unsigned. Nor does a database that gives no answer.
    """
    from evoguard.wiring.keys import unusable
    from evoguard.wiring.orders import unproved

    if key is not None and (why := unusable(key) or unproved(settings, person, key)):
        note(f"NOT SIGNED: {why}; killing all the same, which holds the author's proposals for review")
        return None
    return key


def _known(settings: Settings, orders: list[tuple[Scope, str]]) -> tuple[bool | None, ...]:
    """Tell, after everything is stopped, whether something is called so."""
    from evoguard.wiring.orders import known

    return known(settings, orders)


def _any(known: tuple[bool | None, ...]) -> bool | None:
    """Tell whether one of them is known; None when nobody knows."""
    return True if True in known else (None if None in known else False)


def _say_what_is_known(what: str, known: tuple[bool | None, ...]) -> None:
    name = what.partition(":")[2] or what
    if _any(known) is False:
        note(f"nothing here is called {name!r}; the latch stands all the same: is it spelled right?")
    elif _any(known) is None:
        note(f"the database gave no answer, so nobody looked whether something is called {name!r}; the latch stands")
    if len(known) > 1:
        note(f"{name!r} is latched as flag and as component, as nothing is looked up first; each is lifted by itself")


async def _kill(
    settings: Settings, orders: list[tuple[Scope, str]], reason: str, by: str, key: Path | None
) -> list[KillReport]:
    import asyncio

    from evoguard.wiring.kill import run_kill

    jobs = (run_kill(settings, scope=scope, name=name, reason=reason, by=by, key=key) for scope, name in orders)
    return list(await asyncio.gather(*jobs))


def _status(reports: list[KillReport]) -> int:
    """In force and proved is done; in force but a step is open: it may be repeated; not in force: an error.

    Flags that could not be written off count as off once the flag server has confirmed that it serves them so.
    """
    if not all(report.latched for report in reports):
        return exit_codes.ERROR
    failed = {step.name for report in reports for step in report.steps if step.status == "failed"}
    if any(step.name == "probe" and "NOT REFUSED" in step.detail for report in reports for step in report.steps):
        return exit_codes.ERROR
    return exit_codes.TRANSIENT if failed - {"flags_off", "latch"} else exit_codes.DONE


def _told(reports: list[KillReport]) -> None:
    for report in reports:
        latch = report.latch
        scope = f"{latch.scope} {latch.name}".strip()
        line(f"{latch.id or 'NOT LATCHED'}  {scope}  epoch {latch.epoch}")
        for step in report.steps:
            line(f"  {step.name:<12} {step.status:<8} {step.ms:>5} ms  {step.detail}")
        for flag in report.confirmed:
            line(f"  off: {flag}")
        for flag in report.still_on:
            line(f"  STILL ON: {flag}")
        for what in report.reverted:
            line(f"  reverted: {what}")
        if report.clients is not None and report.clients.told:
            counts = (f"{bound} ms: {n}" for bound, n in report.clients.histogram().items() if n)
            line(f"  told within  {', '.join(counts)}")
        if latch.id:
            note(f"two people lift it: evoguard lift {latch.id} --as NAME --sign-with KEY")
