"""Verbs that set up an installation and say who is who: init, person, agent, key."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import facts, line, note, table

if TYPE_CHECKING:
    from evoguard.wiring.desk import KeyPen
    from evoguard.wiring.state import Opened

PublicKey = Annotated[Path, typer.Option("--key", metavar="PUB", help="The public key file (FILE.pub).")]
Sponsor = Annotated[str, typer.Option("--as", metavar="PERSON", help="A registered person who vouches for this.")]
SponsorKey = Annotated[Path | None, typer.Option("--sign-with", metavar="KEY", help="That person's private key file.")]
NewName = Annotated[str, typer.Argument(help="1-60 of a-z, 0-9, dot, dash, underscore.")]

person = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Add and list people: who may approve, reject and lift."
)
agent = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Add and list agents: who may submit.")
key = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Make a key pair.")


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    verb(app, "init", example="evoguard init --person alice --key alice.pub")(init)
    verb(person, "add", example="evoguard person add bob --key bob.pub --as alice --sign-with alice")(person_add)
    verb(person, "list", example="evoguard person list --json")(person_list)
    verb(agent, "add", example="evoguard agent add coder --key coder.pub --as alice --sign-with alice")(agent_add)
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
            doc |= {"person": person, "fingerprint": register(opened, "person", person, public)}
        finally:
            opened.close()
    session.answer(doc, lambda: facts(doc.items()))
    if not session.json:
        note("next: `evoguard person add`, `evoguard agent add`, `evoguard serve`; `evoguard doctor` checks everything")
    return exit_codes.DONE


def person_add(session: Session, name: NewName, key: PublicKey, by: Sponsor = "", sign_with: SponsorKey = None) -> int:
    """Register a person. The first one needs nobody; everyone later needs a registered person's signature."""
    return _add(session, "person", name, key, by, sign_with)


def agent_add(session: Session, name: NewName, key: PublicKey, by: Sponsor = "", sign_with: SponsorKey = None) -> int:
    """Register an agent. A registered person signs for it; an agent may submit, and nothing else."""
    return _add(session, "agent", name, key, by, sign_with)


def person_list(session: Session) -> int:
    """List registered people."""
    return _list(session, "person")


def agent_list(session: Session) -> int:
    """List registered agents."""
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
    session: Session, kind: Literal["person", "agent"], name: str, key: Path, by: str, sign_with: Path | None
) -> int:
    from evoguard.cli.files import KEY_BYTES, contents
    from evoguard.wiring.desk import register

    public = contents(key, "the public key", KEY_BYTES)
    with session.opened() as opened:
        pen = _sponsor_pen(opened, by, sign_with)
        fingerprint = register(opened, kind, name, public, by=by, pen=pen)
    doc = {"name": name, "kind": kind, "fingerprint": fingerprint, "by": by or name}
    session.answer(doc, lambda: line(f"{kind} {name} registered, key {fingerprint}"))
    return exit_codes.DONE


def _sponsor_pen(opened: Opened, by: str, sign_with: Path | None) -> KeyPen | None:
    from evoguard.wiring.desk import KeyPen
    from evoguard.wiring.keys import ProvedPen

    if sign_with is None:
        return None
    identity = opened.queries.identity_now(by) if by else None
    return ProvedPen(sign_with, identity) if identity is not None else KeyPen(sign_with)


def _list(session: Session, kind: Literal["person", "agent"]) -> int:
    from evoguard.views.identities import identities
    from evoguard.wiring.keys import fingerprint
    from evoguard.wiring.reading import Reading

    with session.opened() as opened:
        rows = run(identities(Reading(opened), kind))
    for row in rows:
        row["fingerprint"] = fingerprint(str(row.pop("public_pem")).encode())
    names = ("name", "added", "by", "fingerprint")
    name_of_all = "people" if kind == "person" else "agents"
    session.answer({name_of_all: rows}, lambda: table(names, ([row[name] for name in names] for row in rows)))
    return exit_codes.DONE


def _plain_name(name: str) -> None:
    from evoguard.domain.identity import is_name
    from evoguard.errors import InputError

    if not is_name(name):
        raise InputError("a name is 1-60 of a-z, 0-9, dot, dash and underscore", code="identity.name")
