"""The verb that asks two versions what live traffic asked."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.docs import Doc
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import facts, line, table

RECORDING_BYTES = 64 << 20


def attach(app: typer.Typer) -> None:
    """Add this file's verb."""
    example = (
        "evoguard shadow requests.jsonl --repo . --base main --head my-branch\n"
        "evoguard shadow requests.jsonl --base v1 --head v2 --component scoring --json"
    )
    verb(app, "shadow", example=example)(shadow)


def shadow(
    session: Session,
    *,
    recording: Annotated[Path, typer.Argument(metavar="RECORDING", help="Recorded requests, one JSON object a line.")],
    base: Annotated[str, typer.Option("--base", metavar="REF", help="What serves now.")],
    head: Annotated[str, typer.Option("--head", metavar="REF", help="What is to serve.")],
    repo: Annotated[
        Path, typer.Option("--repo", metavar="PATH", help="Your git repository; no git runs in it.")
    ] = Path(),
    component: Annotated[str, typer.Option("--component", metavar="NAME", help="Whose target is asked.")] = "",
) -> int:
    """Put recorded live requests to two versions, in a gVisor sandbox each, and compare answers, errors, time and cost.

    Writes are refused: no network at all, files end with the sandbox, and the callables that the base declares under
    `refuse` raise PermissionError. An app that needs a database answers errors on both sides; stub it in the target.

    A component declares its target in [component.NAME.cases]; evoguard.recording.Recorder records an ASGI service.

    Exit code 0 when every request was answered the same, 3 when not, or when one was not answered at all.
    """
    from evoguard.cli.files import contents
    from evoguard.cli.progress import progress
    from evoguard.wiring import shadowing

    raw = contents(recording, "the recording", RECORDING_BYTES)
    with progress("asking both versions in gVisor"):
        doc = run(shadowing.shadow(session.settings_or_defaults(), shadowing.Wanted(raw, repo, base, head, component)))
    session.answer(doc, lambda: _page(doc))
    return exit_codes.DONE if doc["same"] else exit_codes.DENIED


def _page(doc: Doc) -> None:
    from evoguard.cli.regression_page import regression_page

    told = cast("Doc", doc["summary"])
    asked = f"{doc['replayed']} of {doc['lines']} recorded requests, the newest"
    facts([(name, doc[name]) for name in ("recording", "base", "head", "evidence")] + [("asked", asked)])
    sides = [(name, cast("Doc", told[name])) for name in ("base", "candidate")]
    keys = ("errors", "p50_us", "p95_us", "cpu_us", "refused")
    table(("version", *keys), ([name, *(side[key] for key in keys)] for name, side in sides))
    for name, count in cast("Doc", told["outcomes"]).items():
        line(f"  {count} {name}")
    line()
    regression_page(doc)
