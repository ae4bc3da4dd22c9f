"""Verbs of those who try rules: policy. Nothing here changes what the guard decides."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, cast

import typer

from evoguard.cli import activating, authoring, exempting, exit_codes
from evoguard.cli.policy_pages import backtest_page, exceptions_page, explained_page, simulated_page
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import facts, table

policy = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Show and test the rules that judge changes, and try others."
)
Bundle = Annotated[
    Path | None, typer.Option("--bundle", metavar="FOLDER", help="A bundle of rules; else the one in force.")
]
Row = Mapping[str, object]


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    verb(policy, "show", example="evoguard policy show --json")(policy_show)
    example = "evoguard policy backtest\nevoguard policy backtest --bundle /tmp/rules --since 2026-11-01 --check"
    example += "\nevoguard policy backtest --bundle /tmp/rules --resume far.json   # stopped, it goes on from there"
    verb(policy, "backtest", example=example)(policy_backtest)
    example = "evoguard policy simulate ch-0123456789ab\nevoguard policy simulate ch-0123456789ab --bundle /tmp/rules"
    verb(policy, "simulate", example=example)(policy_simulate)
    example = "evoguard policy explain ch-0123456789ab\nevoguard policy explain ch-0123456789ab change.unbounded"
    verb(policy, "explain", example=example)(policy_explain)
    activating.attach(policy)
    exempting.attach(policy)
    authoring.attach(policy)
    app.add_typer(policy, name="policy")


def policy_show(session: Session, bundle: Bundle = None) -> int:
    """Show a policy bundle: its digest, every rule with code, severity and source, and what is excepted till when."""
    from evoguard.wiring import proofs, rulebook

    folder = bundle or rulebook.folder_in_force(session.settings())
    doc = proofs.rules(folder, now_s=int(datetime.now(UTC).timestamp()))
    rows = cast("list[Row]", doc["rules"])
    names = ("code", "severity", "title", "source")

    def page() -> None:
        facts([("digest", doc["digest"]), ("opa", doc["opa"]), ("tests", doc["tests"])])
        table(names, ([row.get(name, "") for name in names] for row in rows))
        exceptions_page(doc)

    session.answer(doc, page)
    return exit_codes.DONE


def policy_backtest(
    session: Session,
    *,
    bundle: Bundle = None,
    since: Annotated[str, typer.Option("--since", metavar="DATE", help="Only decisions from this day on, UTC.")] = "",
    check: Annotated[
        bool, typer.Option("--check", help="Exit 1 when something is newly allowed or has no verdict.")
    ] = False,
    resume: Annotated[
        Path | None, typer.Option("--resume", metavar="FILE", help="Keep there how far it is, and go on from there.")
    ] = None,
) -> int:
    """Put all recorded decisions before rules again: what is newly denied, newly allowed, unchanged?"""
    from evoguard.cli.progress import progress
    from evoguard.wiring import backtest

    settings, since_ms = session.settings(), _moment(since)
    with progress("asking the recorded questions again") as say:
        work = backtest.backtest(
            settings, bundle=bundle, since_ms=since_ms, resume=resume,
            told=lambda count: say(f"{count} recorded questions asked again"),
        )  # fmt: skip
        doc = run(work)
    session.answer(doc, lambda: backtest_page(doc))
    return exit_codes.ERROR if check and doc["loosens"] else exit_codes.DONE


def policy_simulate(
    session: Session,
    change: Annotated[str, typer.Argument(metavar="CHANGE", help="A change that was decided on.")],
    bundle: Bundle = None,
) -> int:
    """Ask rules what they say of one past change, beside what was decided then."""
    from evoguard.wiring import backtest

    doc = run(backtest.simulate(session.settings(), change, bundle=bundle))
    session.answer(doc, lambda: simulated_page(doc))
    return exit_codes.DONE


def policy_explain(
    session: Session,
    change: Annotated[str, typer.Argument(metavar="CHANGE", help="A change that was decided on.")],
    rule: Annotated[str, typer.Argument(metavar="[RULE]", help="One rule's code; else all, in a line each.")] = "",
    bundle: Bundle = None,
) -> int:
    """Say of a change why each rule spoke or was silent: what it found, and the values that it looked at."""
    from evoguard.wiring import explaining

    doc = run(explaining.explain(session.settings(), change, rule, bundle=bundle))
    session.answer(doc, lambda: explained_page(doc, one=bool(rule)))
    return exit_codes.DONE


def _moment(since: str) -> int:
    from evoguard.errors import InputError

    if not since:
        return 0
    try:
        moment = datetime.fromisoformat(since)
    except ValueError as err:
        raise InputError(f"--since: {since[:40]!r} is no date", code="usage", fix="write it as 2026-11-01") from err
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
