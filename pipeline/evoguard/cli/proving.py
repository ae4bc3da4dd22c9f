"""Verbs of strangers and auditors: verify, capsule, audit. The key is always theirs, never silently the state's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.pages import inline
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import facts, line, note

if TYPE_CHECKING:
    from evoguard.wiring.proofs import Claim

ServiceKey = Annotated[
    Path, typer.Option("--key", metavar="PUB", help="The service's public key, from a place you trust.")
]

audit = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Prove the event log.")


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    example = "evoguard verify ch-0123456789ab --key service.pub\nevoguard verify bundle.json --key service.pub"
    verb(app, "verify", example=example)(verify)
    example = (
        "evoguard capsule ch-0123456789ab --out ch-0123456789ab.capsule\n"
        "python deploy/tools/verify_capsule.py ch-0123456789ab.capsule --key service.pub   # anywhere, offline"
    )
    verb(app, "capsule", example=example)(capsule)
    verb(audit, "root", example="evoguard audit root > root-today.json")(audit_root)
    example = "evoguard audit verify --key service.pub\nevoguard audit verify --key service.pub --root root-today.json"
    verb(audit, "verify", example=example)(audit_verify)
    app.add_typer(audit, name="audit")


def verify(  # noqa: PLR0913  (each is one demand)
    session: Session,
    *,
    what: Annotated[str, typer.Argument(metavar="BUNDLE|CHANGE", help="A bundle's file, or a change of this state.")],
    key: ServiceKey,
    tree: Annotated[str, typer.Option("--tree", metavar="T", help="Demand that it is about this git tree.")] = "",
    policy: Annotated[str, typer.Option("--policy", metavar="sha256:...", help="Demand this policy bundle.")] = "",
    verifier: Annotated[str, typer.Option("--verifier", metavar="ID", help="Demand this installation's id.")] = "",
    max_age: Annotated[
        int, typer.Option("--max-age", min=0, metavar="S", help="Demand that it is not older; 0: any age.")
    ] = 0,
) -> int:
    """Verify an attestation as a stranger would: the signature with your key, then what it says."""
    from dataclasses import replace

    from evoguard.cli.files import KEY_BYTES, contents
    from evoguard.wiring import proofs

    public = contents(key, "the public key", KEY_BYTES)
    claim = _claim(session, what)
    claim = replace(
        claim,
        tree=tree or claim.tree,
        policy=policy or claim.policy,
        verifier=verifier or claim.verifier,
        max_age_s=max_age,
    )
    done = run(proofs.verify(claim, public))
    doc = done.as_json()
    session.answer(doc, lambda: _verified_page(doc))
    return exit_codes.DENIED if done.findings else exit_codes.DONE


def audit_root(session: Session) -> int:
    """Print the newest signed root; keep it where the guard cannot write, for `audit verify --root`."""
    from evoguard.wiring import proofs

    doc = run(proofs.newest_root(session.settings()))
    session.answer(doc, lambda: line(doc["bundle"]))
    return exit_codes.DONE


def audit_verify(
    session: Session,
    key: ServiceKey,
    root: Annotated[
        Path | None,
        typer.Option("--root", metavar="FILE", help="Demand this root, which `audit root` printed earlier."),
    ] = None,
) -> int:
    """Recompute the event log and all that is made from it, and check every root with your copy of the key."""
    from evoguard.cli.files import BUNDLE_BYTES, KEY_BYTES, contents
    from evoguard.cli.progress import progress
    from evoguard.wiring import proofs

    public = contents(key, "the public key", KEY_BYTES)
    demanded = contents(root, "the root", BUNDLE_BYTES) if root is not None else None
    settings = session.settings()
    with progress("recomputing every chain"):
        doc = run(proofs.audit_log(settings, public, demanded))
    if proofs.inside(settings.state, key):
        note("this key lies in the state that is audited: whoever can rewrite the log can replace it, too")
    session.answer(doc, lambda: _audit_page(doc))
    return exit_codes.DONE if doc["ok"] else exit_codes.ERROR


def capsule(
    session: Session,
    change: Annotated[str, typer.Argument(metavar="CHANGE", help="A change that was attested, good or bad.")],
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="A new file; else the capsule goes to stdout.")
    ] = None,
) -> int:
    """Pack what a stranger needs to make a change's decisions again: questions, rules, evidence, the signed summary."""
    from evoguard.cli.files import new_file
    from evoguard.domain.canonical import digest_of
    from evoguard.wiring.capsule import capsule as packed

    raw = run(packed(session.settings(), change))
    if out is None:
        print(raw.decode())
        return exit_codes.DONE
    new_file(out, raw)
    doc = {"change": change, "file": str(out), "bytes": len(raw), "digest": digest_of(raw)}
    session.answer(doc, lambda: facts(doc.items()))
    return exit_codes.DONE


def _claim(session: Session, what: str) -> Claim:
    from evoguard.cli.files import BUNDLE_BYTES, contents
    from evoguard.domain.change import is_change_id
    from evoguard.wiring import proofs

    if is_change_id(what):
        return run(proofs.claim_of(session.settings(), what))
    return proofs.Claim(contents(Path(what), "the bundle", BUNDLE_BYTES))


def _verified_page(doc: Mapping[str, object]) -> None:
    line("verified" if doc["verified"] else "NOT VERIFIED")
    names = ("result", "change", "tree", "head", "resource", "verifier", "time", "policy", "key")
    facts((name, doc[name]) for name in names)
    facts([("levels", ", ".join(cast("list[str]", doc["levels"]))), ("inputs", inline(doc["inputs"]))])
    for title, name in (("demanded", "demanded"), ("not demanded", "taken_from_the_statement")):
        facts([(title, ", ".join(cast("list[str]", doc[name])))])
    for finding in cast("list[Mapping[str, object]]", doc["findings"]):
        line(f"  {finding['code']}: {finding['msg']} {finding['term']}".rstrip())


def _audit_page(doc: Mapping[str, object]) -> None:
    line("the log holds" if doc["ok"] else "THE LOG DOES NOT HOLD")
    facts(
        (name, doc[name])
        for name in ("events", "streams", "roots", "last_root_seq", "unsigned_tail", "root_demanded", "key")
    )
    for title, name in (("problem", "problems"), ("detects", "detects"), ("cannot detect", "cannot_detect")):
        for row in cast("list[str]", doc[name]):
            line(f"{title}: {row}")
