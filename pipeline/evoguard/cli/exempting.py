"""`evoguard policy exemptions`: what is excepted, by whom, how long, and whether anybody needs it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import facts, line, table

Row = Mapping[str, object]


def attach(policy: typer.Typer) -> None:
    """Add this file's verbs."""
    example = "evoguard policy exemptions\nevoguard policy exemptions --soon 30 --json"
    verb(policy, "exemptions", example=example)(policy_exemptions)


def policy_exemptions(
    session: Session,
    soon: Annotated[int, typer.Option("--soon", min=1, max=365, help="So many days left are told as few.")] = 14,
) -> int:
    """List every exemption and rule in shadow in force: its end, its owner, and how often it spoke in decisions.

    An exemption that no decision needed may be one too many; a rule in shadow shows what it would have refused. The
    exit code is 0 whatever is found.
    """
    from evoguard.wiring import exempting

    doc = run(exempting.exemptions(session.settings(), soon_days=soon))
    session.answer(doc, lambda: _page(doc))
    return exit_codes.DONE


def _page(doc: Row) -> None:
    exempt, shadow = cast("list[Row]", doc["exemptions"]), cast("list[Row]", doc["shadow"])
    facts([("bundle", doc["bundle"]), ("recorded decisions", doc["decisions"])])
    if exempt:
        heads = ("exemption", "code", "scope", "owner", "until", "days left", "standing", "used", "last used", "reason")
        table(heads, (_exemption(row) for row in exempt))
    if shadow:
        watched = ("in shadow", "severity", "effective on", "days left", "standing", "would have spoken", "last")
        table(watched, (_shadow(row) for row in shadow))
    for row in (*exempt, *shadow):
        _examples(row)
    if unused := cast("list[str]", doc["unused"]):
        line(f"never used: {', '.join(unused)}")
    if expiring := cast("list[str]", doc["expiring"]):
        line(f"{doc['soon_days']} days left or fewer: {', '.join(expiring)}")
    if unreadable := doc["unreadable"]:
        line(f"{unreadable} decisions could not be read and are not counted")
    if not exempt and not shadow:
        line("nothing is exempt, and no rule is in shadow")


def _exemption(row: Row) -> list[object]:
    scope = " ".join(f"{k}={v}" for k, v in cast("Row", row["scope"]).items() if v)
    used = cast("Row", row["used"])
    return [row["id"], row["code"], scope, row["owner"], row["until"], row["days_left"], row["standing"],
            _times(used), used["last"] or "never", row["reason"]]  # fmt: skip


def _shadow(row: Row) -> list[object]:
    would = cast("Row", row["would"])
    return [row["code"], row["severity"], row["effective_on"], row["days_left"], row["standing"], _times(would),
            would["last"] or "never"]  # fmt: skip


def _times(spoke: Row) -> str:
    if not spoke["decisions"]:
        return "never"
    return f"{spoke['decisions']} decisions on {spoke['changes']} changes, {spoke['allowed']} of them allowed"


def _examples(row: Row) -> None:
    for one in cast("list[Row]", cast("Row", row.get("used") or row.get("would"))["examples"]):
        more = f" (+{one['more']} more)" if one["more"] else ""
        verdict = "allowed" if one["allow"] else "denied"
        line(f"  {row['code']}: {one['change']} {one['stage']} {verdict}: {one['msg']} {one['path']}{more}")
