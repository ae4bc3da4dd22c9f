"""Verbs of people who decide: approve, reject."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import As, Session, SignWith, confirmed, run, verb
from evoguard.cli.text import line, note

if TYPE_CHECKING:
    from evoguard.wiring.state import Opened

ChangeArgument = Annotated[str, typer.Argument(metavar="ID", help="The change's id.")]
DigestOption = Annotated[
    str, typer.Option("--digest", metavar="sha256:...", help="Sign only when exactly this is asked for.")
]


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    example = "evoguard approve ch-0123456789ab --as bob --sign-with bob\n"
    example += "evoguard approve ch-0123456789ab --as bob --sign-with bob --digest sha256:... --json"
    verb(app, "approve", example=example)(approve)
    example = 'evoguard reject ch-0123456789ab --as bob --sign-with bob --reason "rounds the wrong way"'
    verb(app, "reject", example=example)(reject)


def approve(  # noqa: PLR0913  (each is one option)
    session: Session,
    *,
    change: ChangeArgument,
    person: As,
    sign_with: SignWith,
    digest: DigestOption = "",
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Kept with your signature.")] = "",
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Do not ask; needed without a terminal and --digest.")
    ] = False,
) -> int:
    """Show exactly what is signed, then sign it with your own key and file it."""
    with session.opened() as opened:
        doc = run(_asked(opened, change, digest))
        _agreed(doc, sure=yes or bool(digest))
        run(_vote(opened, doc, person, sign_with, "approve", reason))
    answer = {**doc, "verdict": "approve", "by": person, "filed": True}
    session.answer(answer, lambda: line(f"{change}: {person} approved {doc['digest']}"))
    return exit_codes.DONE


def reject(
    session: Session,
    *,
    change: ChangeArgument,
    person: As,
    sign_with: SignWith,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why; the author will read it.")],
    digest: DigestOption = "",
) -> int:
    """Reject a change; one person's signed no ends it."""
    from evoguard.desk import checked_text

    checked_text(reason, "the reason", 500)
    with session.opened() as opened:
        doc = run(_asked(opened, change, digest))
        run(_vote(opened, doc, person, sign_with, "reject", reason))
    answer = {**doc, "verdict": "reject", "by": person, "filed": True}
    session.answer(answer, lambda: line(f"{change}: {person} rejected {doc['digest']}"))
    return exit_codes.DONE


async def _asked(opened: Opened, change: str, digest: str) -> dict[str, object]:
    from evoguard.errors import InputError
    from evoguard.views.asked import asked
    from evoguard.wiring.reading import Reading

    doc = await asked(Reading(opened), change, now_s=opened.clock.now_ms() // 1000)
    if digest and digest != doc["digest"]:
        raise InputError(f"{change} asks for {doc['digest']} now, not for the digest you named", code="approval.digest",
                         fix=f"read `evoguard show {change}` again before you sign")  # fmt: skip
    return {**doc}


async def _vote(opened: Opened, doc: dict[str, object], person: str, key: Path, verdict: str, reason: str) -> None:
    from evoguard import desk
    from evoguard.wiring.desk import parts
    from evoguard.wiring.keys import ProvedPen

    house = parts(opened)
    pen = ProvedPen(key, await desk.known(house, person))
    change, digest = str(doc["change"]), str(doc["digest"])
    await desk.vote(house, pen, change=change, digest=digest, person=person, verdict=verdict, reason=reason)


def _agreed(doc: dict[str, object], *, sure: bool) -> None:
    """Show what is signed; ask at a terminal. Raises: InputError for a no, or when nobody can be asked."""
    from evoguard.cli.pages import asked_page

    note("this is what you sign:")
    asked_page(doc, to_stderr=True)
    if not sure:
        confirmed("Sign this?", fix="pass --digest, or --yes")
