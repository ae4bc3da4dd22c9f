"""Verbs that set up an installation and say who is who: init, person, agent, key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import facts, line, note, table

if TYPE_CHECKING:
    from evoguard.views.reader import Doc
    from evoguard.wiring.desk import Registered

PublicKey = Annotated[Path, typer.Option("--key", metavar="PUB", help="The public key file (FILE.pub).")]
Sponsor = Annotated[str, typer.Option("--as", metavar="PERSON", help="A registered person who vouches for this.")]
SponsorKey = Annotated[Path | None, typer.Option("--sign-with", metavar="KEY", help="That person's private key file.")]
NewName = Annotated[str, typer.Argument(help="1-60 of a-z, 0-9, dot, dash, underscore.")]

person = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Add and list people: who may approve, reject and lift."
)
agent = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Add and list agents: who may submit, and review."
)
key = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make a key pair.")


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    verb(app, "init", example="evoguard init --person alice --key alice.pub")(init)
    verb(person, "add", example="evoguard person add bob --key bob.pub --as alice --sign-with alice")(person_add)
    verb(person, "list", example="evoguard person list --json")(person_list)
    example = "evoguard agent add coder --key coder.pub --as alice --sign-with alice\n"
    example += "evoguard agent add reviewer --key reviewer.pub --model maker/large-2 --as alice --sign-with alice"
    verb(agent, "add", example=example)(agent_add)
    verb(agent, "list", example="evoguard agent list")(agent_list)
    verb(key, "new", example="evoguard key new alice\nEVOGUARD_KEY_PASSPHRASE=... evoguard key new alice")(key_new)
    app.add_typer(person, name="person")
    app.add_typer(agent, name="agent")
    app.add_typer(key, name="key")


def init(
    session: Session,
    person: Annotated[str, typer.Option("--person", metavar="NAME", help="Register the first person, too.")] = "",
    key: Annotated[Path | None, typer.Option("--key", metavar="PUB", help="That person's public key file.")] = None,
) -> int:
    """Make a new installation: state folder, database, service key, tokens."""
    from evoguard.cli.files import KEY_BYTES, contents
    from evoguard.errors import InputError
    from evoguard.wiring.desk import register
    from evoguard.wiring.init import init as make
    from evoguard.wiring.keys import fingerprint
    from evoguard.wiring.state import open_state

    if bool(person) != (key is not None):
        raise InputError("--person and --key belong together", code="usage", fix="pass both, or neither")
    public = contents(key, "the public key", KEY_BYTES) if key is not None else b""
    if person:
        _plain_name(person)
        fingerprint(public)  # a bad key is refused before anything is made
    settings = session.settings()
    doc: dict[str, object] = {
        **make(settings),
        "service_pub": str(settings.service_pub),
        "tokens": str(settings.state / "tokens.json"),
    }
    if person:
        opened = open_state(settings)
        try:
            doc |= {"person": person, "fingerprint": register(opened, "person", person, public).fingerprint}
        finally:
            opened.close()
    session.answer(doc, lambda: facts(doc.items()))
    if not session.json:
        note("next: `evoguard person add`, `evoguard agent add`, `evoguard serve`; `evoguard doctor` checks everything")
    return exit_codes.DONE


def person_add(session: Session, name: NewName, key: PublicKey, by: Sponsor = "", sign_with: SponsorKey = None) -> int:
    """Register a person. The first needs nobody, the second the first's signature; everyone later takes two people.

    The first of the two files a signed vouch (exit code 5, valid for 7 days); another person runs the same command
    with the same public key, compares the fingerprint and completes it.
    """
    return _add(session, "person", name, key, (by, sign_with))


def agent_add(
    session: Session, name: NewName, key: PublicKey, by: Sponsor = "", sign_with: SponsorKey = None,
    model: Annotated[str, typer.Option("--model", metavar="MODEL", help="The model that it runs.")] = "",
) -> int:  # fmt: skip
    """Register an agent. A registered person signs for it, its key and its model.

    An agent may submit. Where rules ask for seats of agents, it may also review: `approve` and `reject`, counted apart
    from people. A seat needs an agent whose model is known and is not the author's.
    """
    return _add(session, "agent", name, key, (by, sign_with), model)


def person_list(session: Session) -> int:
    """List registered people, who vouched for them, and those who wait for a second person.

    Standing: open while held, half-open until three releases in a row came out well, closed.
    """
    return _list(session, "person")


def agent_list(session: Session) -> int:
    """List registered agents and their standing: open while held, half-open until three releases came out well, closed.

    A half-open author's rollouts begin at 1 %, take longer, and need stronger evidence.
    """
    return _list(session, "agent")


def key_new(
    session: Session, file: Annotated[Path, typer.Argument(help="Where the private key goes; FILE.pub beside it.")]
) -> int:
    """Make a P-256 key pair: FILE (0600) and FILE.pub. EVOGUARD_KEY_PASSPHRASE, when set, encrypts it."""
    import os

    from evoguard.wiring.keys import new_key

    doc = new_key(file, passphrase=os.environ.get("EVOGUARD_KEY_PASSPHRASE", ""))
    session.answer(doc, lambda: facts(doc.items()))
    return exit_codes.DONE


def _add(
    session: Session, kind: Literal["person", "agent"], name: str, key: Path, sponsor: tuple[str, Path | None],
    model: str = "",
) -> int:  # fmt: skip
    from evoguard.cli.files import KEY_BYTES, contents
    from evoguard.wiring.desk import register
    from evoguard.wiring.keys import pen_of

    public, (by, sign_with) = contents(key, "the public key", KEY_BYTES), sponsor
    with session.opened() as opened:
        pen = pen_of(opened, by, sign_with) if sign_with is not None else None
        done = register(opened, kind, name, public, by=by, pen=pen, model=model)
    doc = {
        "name": name, "kind": kind, "fingerprint": done.fingerprint, "by": done.by, "registered": not done.ask,
        "vouched_by": list(done.vouched_by), "ask": list(done.ask), "other_keys": list(done.other_keys),
    }  # fmt: skip
    session.answer(doc, lambda: line(_became(kind, name, done)))
    if done.other_keys and not session.json:
        note(f"{name} is also proposed with another key ({', '.join(done.other_keys)}): only one of them can be right")
    if not done.ask:
        return exit_codes.DONE
    if not session.json:
        note(f"next: {' or '.join(done.ask)} compares the fingerprint with {name} and runs, within 7 days:")
        note(f"  evoguard person add {name} --key {key} --as NAME --sign-with KEY")
    return exit_codes.WAITING


def _became(kind: str, name: str, done: Registered) -> str:
    if not done.ask:
        return f"{kind} {name} registered, key {done.fingerprint}"
    return f"{kind} {name} is NOT registered yet: {done.by} vouched for key {done.fingerprint}; one more person must"


def _list(session: Session, kind: Literal["person", "agent"]) -> int:
    from evoguard.wiring.desk import listed, waiting

    with session.opened() as opened:
        rows = [_with_fingerprint(row) for row in run(listed(opened, kind))]
        pending = [_with_fingerprint(row) for row in run(waiting(opened))] if kind == "person" else []
    doc: dict[str, object] = {"people" if kind == "person" else "agents": rows}
    if kind == "person":
        doc["pending"] = pending
    session.answer(doc, lambda: _tables(kind, rows, pending))
    return exit_codes.DONE


def _tables(kind: str, rows: list[Doc], pending: list[Doc]) -> None:
    names = ("name", *(("model",) if kind == "agent" else ()), "standing", "added", "vouched_by", "fingerprint")
    table(names, ([_cell(row[name]) for name in names] for row in rows))
    if pending:
        line("waiting for one more person:")
        wait = ("name", "expires", "vouched_by", "fingerprint")
        table(wait, ([_cell(row[name]) for name in wait] for row in pending))


def _cell(value: object) -> object:
    return ", ".join(str(item) for item in value) if isinstance(value, list) else value


def _with_fingerprint(row: Doc) -> Doc:
    from evoguard.wiring.keys import fingerprint

    pem = str(row["public_pem"])
    return {**{name: row[name] for name in row if name != "public_pem"}, "fingerprint": fingerprint(pem.encode())}


def _plain_name(name: str) -> None:
    from evoguard.domain.identity import is_name
    from evoguard.errors import InputError

    if not is_name(name):
        raise InputError("a name is 1-60 of a-z, 0-9, dot, dash and underscore", code="identity.name")
