"""Verbs about what clients of the flag server need: tokens, and a file to start from without it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, verb
from evoguard.cli.text import facts, line, note, table

ISSUE = """\
evoguard flags issue checkout                               # a server SDK reads flags with it
evoguard flags issue shop-page --kind frontend.read         # a browser asks /api/frontend with it
evoguard flags issue router-2 --kind kpi.write --assurance edge
evoguard flags issue guard-2 --kind flags.read --own        # the guard's own; into tokens.json"""
REVOKE = """\
evoguard flags issue checkout             # first a second token, also called checkout; clients take it
evoguard flags revoke tok-0123456789ab    # then the first one, by its id"""


def attach(flags: typer.Typer) -> None:
    """Add this file's verbs below `flags`."""
    verb(flags, "issue", example=ISSUE)(issue)
    verb(flags, "tokens", example="evoguard flags tokens")(tokens)
    verb(flags, "revoke", example=REVOKE)(revoke)
    verb(flags, "bootstrap", example="evoguard flags bootstrap --out flags.json")(bootstrap)


def issue(
    session: Session,
    name: Annotated[str, typer.Argument(metavar="NAME", help="Who uses it; several tokens may have one name.")],
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="flags.read, frontend.read or kpi.write.")
    ] = "flags.read",
    environment: Annotated[
        str, typer.Option("--environment", metavar="NAME", help="What `environment` is for the frontend API.")
    ] = "production",
    assurance: Annotated[
        str, typer.Option("--assurance", metavar="WORD", help="kpi.write only: self-reported, host or edge.")
    ] = "",
    own: Annotated[bool, typer.Option("--own", help="For the guard itself: into tokens.json, not shown.")] = False,
) -> int:
    """Make a token for the flag server and show it, once: only its digest is kept. It is valid at once."""
    from evoguard.wiring.flag_files import Wanted
    from evoguard.wiring.flag_files import issue as issued

    with session.opened() as opened:
        doc = issued(opened, session.settings(), Wanted(kind, name, environment, assurance, own))
    session.answer(doc, lambda: facts(doc.items()))
    if not own:
        note("this is the only time that it is shown")
    return exit_codes.DONE


def tokens(session: Session) -> int:
    """List the tokens that are valid. Their secrets are not kept anywhere."""
    from evoguard.adapters.sqlite import tokens as kept

    with session.opened() as opened:
        found = [one.as_json() for one in kept.listed(opened.con)]
    heads = ("id", "kind", "name", "environment", "assurance")
    session.answer({"tokens": found}, lambda: table(heads, [[str(one[head]) for head in heads] for one in found]))
    return exit_codes.DONE


def revoke(
    session: Session,
    which: Annotated[str, typer.Argument(metavar="ID|NAME", help="One token's id, or a name: all that have it.")],
) -> int:
    """Make a token invalid. A Node SDK that meets a 401 stops asking until its restart: give it another one first."""
    from evoguard.wiring.flag_files import revoke as revoked

    with session.opened() as opened:
        count = revoked(opened, session.settings(), which)
    session.answer({"revoked": count}, lambda: line(f"revoked: {count}"))
    return exit_codes.DONE


def bootstrap(
    session: Session,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write it there, in place of what was there.")
    ] = None,
) -> int:
    """Print the document an SDK starts from without a server: on is only what was promoted and is not killed."""
    from evoguard.wiring.flag_files import bootstrap as made

    start = made(session.settings())
    if out is None:
        print(start.body.decode())
        return exit_codes.DONE
    _write(out, start.body)
    doc = {"out": str(out), "on": list(start.on), "off": list(start.off)}
    session.answer(doc, lambda: facts([("file", out), ("on", ", ".join(start.on)), ("off", ", ".join(start.off))]))
    return exit_codes.DONE


def _write(path: Path, raw: bytes) -> None:
    from evoguard.adapters import durable
    from evoguard.errors import InputError

    try:
        durable.write(path.absolute().parent, path.name, raw + b"\n", mode=0o644, replace=True)
    except (OSError, ValueError) as err:
        why = err.strerror if isinstance(err, OSError) else "not a path"
        raise InputError(f"{path} cannot be written: {why}", code="file.new", fix="name another file") from err
