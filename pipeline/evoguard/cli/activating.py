"""Verbs that put rules in force: policy activate, rollback, status. Two people sign; the constitution stays."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import As, Session, SignWith, confirmed, run, verb
from evoguard.cli.text import facts, line, note, table

if TYPE_CHECKING:
    from evoguard.wiring.activating import Signed

Row = Mapping[str, object]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; needed without a terminal.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Prove it, try it on the past, show it; sign nothing.")]
SHOWN_EXAMPLES, SHOWN_LINES = 10, 30


def attach(policy: typer.Typer) -> None:
    """Add this file's verbs to `policy`."""
    example = "evoguard policy activate /tmp/rules --as alice --sign-with alice\n"
    example += "evoguard policy activate sha256:... --as bob --sign-with bob\n"
    example += "evoguard policy activate /tmp/rules --dry-run"
    verb(policy, "activate", example=example)(policy_activate)
    verb(policy, "rollback", example="evoguard policy rollback --as alice --sign-with alice")(policy_rollback)
    verb(policy, "status", example="evoguard policy status --json")(policy_status)
    verb(policy, "export", example="evoguard policy export --out rules.tar.gz\nopa run --server -b rules.tar.gz")(
        policy_export
    )


def policy_activate(
    session: Session,
    *,
    bundle: Annotated[
        str,
        typer.Argument(metavar="BUNDLE", help="A built bundle's folder, the digest of one kept here, or `shipped`."),
    ],
    person: Annotated[str, typer.Option("--as", metavar="NAME", help="Your registered name.")] = "",
    sign_with: Annotated[Path | None, typer.Option("--sign-with", metavar="KEY", help="Your private key file.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> int:
    """Put a bundle of rules in force: its tests run, it is compared with the one in force, two people sign.

    Compared: rules, data and scan rules as they stand; all recorded decisions and a thousand made-up questions.

    The first signature is filed (exit code 5, valid for 7 days); another person runs the same command and sees the
    same. From then on every change is reviewed under it; what waits for people is reviewed again. Rules of severity
    constitution that ship with evoguard are asked beside any bundle, and none lifts them.
    """
    return _activate(session, bundle, person, sign_with, dry_run=dry_run, yes=yes)


def policy_rollback(session: Session, *, person: As, sign_with: SignWith, yes: Yes = False) -> int:
    """Put the bundle in force that was before this one; as any change of rules it takes two people."""
    from evoguard.wiring import activating

    with session.opened() as opened:
        before = activating.previous(opened)
    return _activate(session, before, person, sign_with, dry_run=False, yes=yes)


def policy_status(session: Session) -> int:
    """Show which rules are in force, since when and by whose signatures, and what waits for a second person."""
    from evoguard.wiring import activating

    with session.opened() as opened:
        doc = activating.status(opened)
    session.answer(doc, lambda: _status_page(doc))
    return exit_codes.DONE


def policy_export(
    session: Session,
    *,
    out: Annotated[
        Path, typer.Option("--out", metavar="FILE", help="The bundle's file, as OPA names it: NAME.tar.gz.")
    ],
    bundle: Annotated[
        Path | None, typer.Option("--bundle", metavar="FOLDER", help="A built bundle; else the one in force.")
    ] = None,
) -> int:
    """Write a bundle for an OPA server that is to judge in place of this process (`opa_url` in settings.toml).

    The server names the bundle in each answer; one of another bundle, or of another version of OPA, is no verdict.
    """
    from evoguard.errors import InputError
    from evoguard.wiring import rulebook

    digest, raw = rulebook.exported_for_opa(session.settings(), bundle)
    try:
        out.write_bytes(raw)
    except OSError as err:
        raise InputError(f"{out} cannot be written: {err.strerror}", code="usage", fix="name another --out") from err
    doc = {"bundle": digest, "out": str(out), "bytes": len(raw)}
    session.answer(doc, lambda: facts(doc.items()))
    if not session.json:
        note(f"next: `opa run --server -b {out}`, then `opa_url` in settings.toml; again after each change of rules")
    return exit_codes.DONE


def _activate(session: Session, wanted: str, person: str, key: Path | None, *, dry_run: bool, yes: bool) -> int:
    from evoguard.cli.progress import progress
    from evoguard.errors import InputError
    from evoguard.wiring import activating
    from evoguard.wiring.keys import pen_of

    if not dry_run and (not person or key is None):
        raise InputError("policy: nobody signs this", code="usage", fix="pass --as NAME --sign-with KEY, or --dry-run")
    with session.opened() as opened:
        with progress("running the bundle's tests, asking both bundles what was decided and more"):
            prepared = run(activating.prepare(session.settings(), opened, wanted))
        if dry_run or key is None:
            session.answer({**prepared.report, "signed": False}, lambda: _report(prepared.report))
            return exit_codes.DONE
        note("this is what you sign:")
        _report(prepared.report, to_stderr=True)
        if not yes:
            confirmed("Sign this?", fix="pass --yes")
        done = activating.sign(opened, prepared, by=person, pen=pen_of(opened, person, key))
    doc = {**prepared.report, "signed": True, "signed_by": list(done.by), "ask": list(done.ask),
           "in_force": not done.ask}  # fmt: skip
    session.answer(doc, lambda: _became(done))
    if done.ask and not session.json:
        note(f"next: {' or '.join(done.ask)} looks at the same and signs, within 7 days:")
        note(f"  evoguard policy activate {done.activation.bundle} --as NAME --sign-with KEY")
    return exit_codes.WAITING if done.ask else exit_codes.DONE


def _report(doc: Row, *, to_stderr: bool = False) -> None:
    """Print what a bundle is and what it does to the past."""
    told, tests = cast("Row", doc["difference"]), cast("Row", doc["tests"])
    tried, edited = cast("Row", told["tried"]), ", ".join(cast("list[str]", cast("Row", doc["constitution"])["edited"]))
    pairs: list[tuple[str, object]] = [
        ("bundle", doc["bundle"]),
        ("in force now", doc["previous"]),
        ("change of rules", f"number {doc['serial']}"),
        ("built by", doc["built_by"] or "not signed by whoever built it"),
        ("rules", len(cast("list[str]", doc["rules"]))),
        ("tests", f"{tests['passed']} passed, none failed; the bundle in force has {tests['before']}"),
        (
            "constitution",
            (f"{edited}: edited here; " if edited else "") + "the shipped one is asked beside this bundle",
        ),
        ("past decisions", tried["recorded"] or "NONE recorded: the past says nothing of it"),
        ("made-up questions", tried["generated"]),
        *((f"  {turn}", count) for turn, count in cast("Row", told["turns"]).items()),
        ("compared", str(told["verdict"])),
        (
            "LOOSENS",
            "it allows or no longer asks what the rules in force do; look at each line" if doc["loosens"] else "",
        ),
    ]
    lines = [
        *cast("list[str]", told["loosened"]),
        *(f"not known: {text}" for text in cast("list[str]", told["unknown"])),
    ]
    pairs += [("  loosens", text) for text in lines[:SHOWN_LINES]]
    pairs += [("  and", f"{len(lines) - SHOWN_LINES} more; --json has them")] if len(lines) > SHOWN_LINES else []
    examples = cast("list[Row]", told["examples"])
    pairs += [(f"  {one['where']}", _turned(one)) for one in examples[:SHOWN_EXAMPLES]]
    facts(pairs, to_stderr=to_stderr)


def _turned(one: Row) -> str:
    looser, tighter = (" ".join(cast("list[str]", one[name])) for name in ("looser", "tighter"))
    parts = (str(one["about"]), tighter and f"tighter {tighter}", looser and f"looser {looser}")
    return f"{one['stage']}: {one['turn']} ({'; '.join(part for part in parts if part)})"


def _became(done: Signed) -> None:
    people = " and ".join(done.by)
    if done.ask:
        line(f"NOT in force yet: {done.by[-1]} signed for {done.activation.bundle}; one more person must")
    else:
        line(f"in force: {done.activation.bundle}, signed by {people}")


def _status_page(doc: Row) -> None:
    own = "put in force here" if doc["own"] else "the one that ships"
    facts([("in force", doc["bundle"]), ("which is", own), ("since", doc["since"]),
           ("signed by", " and ".join(cast("list[str]", doc["by"]))),
           ("shipped", doc["shipped"] if doc["own"] else "")])  # fmt: skip
    if waiting := cast("list[Row]", doc["waiting"]):
        line("waiting for one more person:")
        table(
            ("bundle", "signed by", "one of"),
            ([r["bundle"], _names(r["signed_by"]), _names(r["ask"])] for r in waiting),
        )
    if history := cast("list[Row]", doc["history"]):
        table(
            ("no", "at", "bundle", "signed by"), ([r["serial"], r["at"], r["bundle"], _names(r["by"])] for r in history)
        )


def _names(value: object) -> str:
    return ", ".join(cast("list[str]", value))
