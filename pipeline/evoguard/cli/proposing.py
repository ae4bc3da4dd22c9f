"""Verbs of whoever proposes: submit, withdraw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import As, Session, SignWith, run, verb
from evoguard.cli.text import facts, line, note

if TYPE_CHECKING:
    from evoguard.desk import Submitted
    from evoguard.wiring.state import Opened

WAIT_S = 600


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    example = 'evoguard submit --repo . --head fix --base main --intent "round half up" --as coder --sign-with coder\n'
    example += 'evoguard submit --repo . --patch fix.diff --base main --intent "..." --as coder --sign-with coder'
    verb(app, "submit", example=example)(submit)
    verb(app, "withdraw", example="evoguard withdraw ch-0123456789ab --as coder --sign-with coder")(withdraw)


def submit(  # noqa: PLR0913  (each is one option)
    session: Session,
    *,
    repo: Annotated[Path, typer.Option("--repo", metavar="PATH", help="Your git repository; no git runs in it.")],
    base: Annotated[str, typer.Option("--base", metavar="REF", help="What the change is on top of.")],
    intent: Annotated[str, typer.Option("--intent", metavar="TEXT", help="What it is for, in words people will read.")],
    author: As,
    sign_with: SignWith,
    head: Annotated[str, typer.Option("--head", metavar="REF", help="The commit or branch that is proposed.")] = "",
    patch: Annotated[
        Path | None, typer.Option("--patch", metavar="FILE", help="A diff instead of --head; - is stdin.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, store nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended or waits for people.")] = False,
    timeout: Annotated[
        int, typer.Option("--timeout", min=1, metavar="S", help="Seconds that --wait waits at most.")
    ] = WAIT_S,
) -> int:
    """Propose a change. The same head again is the same change; a new head supersedes the older one."""
    from evoguard import desk
    from evoguard.cli.files import PATCH_BYTES, contents
    from evoguard.cli.progress import progress
    from evoguard.wiring.desk import parts, unguided
    from evoguard.wiring.keys import ProvedPen

    diff = contents(patch, "the patch", PATCH_BYTES, stdin=True) if patch is not None else None

    async def work(opened: Opened) -> Submitted:
        house = parts(opened)
        pen = ProvedPen(sign_with, await desk.known(house, author))
        return await desk.submit(
            house, pen, source=repo, author=author, intent=intent, base=base, head=head, patch=diff, dry_run=dry_run
        )

    with session.opened() as opened:
        with progress("bringing the objects in"):
            done = run(work(opened))
            bare = done.stored and not done.repeated and run(unguided(opened, done.proposal))
        if bare and not session.json:
            note("the base has no .evoguard.toml: people will be asked, but without flag and KPI it is not released")
        if wait and done.stored:
            return _waited(session, opened, done, timeout)
    session.answer(_doc(done), lambda: _told(done))
    return exit_codes.DONE


def withdraw(
    session: Session, change: Annotated[str, typer.Argument(help="The change's id.")], author: As, sign_with: SignWith
) -> int:
    """End your own change; one that is rolling out is reverted."""
    with session.opened() as opened:
        run(_withdraw(opened, change, author, sign_with))
    doc = {"change": change, "withdrawn_by": author, "filed": True}
    session.answer(doc, lambda: line(f"{change}: withdrawal filed"))
    return exit_codes.DONE


async def _withdraw(opened: Opened, change: str, author: str, sign_with: Path) -> None:
    """The author's own key must speak before anything is filed in their name."""
    from evoguard import desk
    from evoguard.domain.identity import Command
    from evoguard.wiring.desk import parts
    from evoguard.wiring.keys import ProvedPen

    house = parts(opened)
    pen = ProvedPen(sign_with, await desk.known(house, author))
    now = opened.clock.now_ms() // 1000
    envelope = pen.sign(Command("withdraw", change, author, pen.nonce(), now + desk.SUBMIT_LIFE_S))
    await desk.withdraw(house, change=change, author=author, envelope=envelope)


def _waited(session: Session, opened: Opened, done: Submitted, timeout: int) -> int:
    from evoguard.cli.watching import Watch, watched

    end = run(
        watched(opened, Watch(done.change, until="paused", timeout_s=timeout), on_step=lambda step: note(step.line()))
    )

    def tell() -> None:
        _told(done)
        end.tell()

    session.answer({**_doc(done), **end.as_json()}, tell)
    return end.exit


def _doc(done: Submitted) -> dict[str, object]:
    return {
        "change": done.change,
        "stored": done.stored,
        "repeated": done.repeated,
        "standing": done.standing,
        **done.proposal.as_json(),
    }


def _told(done: Submitted) -> None:
    if not done.stored:
        facts(
            [
                ("would be", done.change),
                ("base", done.proposal.base),
                ("head", done.proposal.head),
                ("tree", done.proposal.tree),
            ]
        )
        note("dry run: nothing was stored")
        return
    line(done.change)
    if not done.repeated:
        note(f"submitted; follow it with `evoguard watch {done.change}`")
        return
    standing = f": it is {done.standing}" if done.standing else ""
    note(f"submitted before, nothing new{standing}; see `evoguard show {done.change}`, or commit a new head")
