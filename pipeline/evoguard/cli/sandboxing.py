"""Verbs of the sandbox itself: try a command or a new binary before anything trusts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import facts, line

FILE_BYTES = 64 << 20

sandbox = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Run a command in gVisor and see what it does, from outside."
)


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    example = (
        "evoguard sandbox run -- python -c 'print(1)'\n"
        "evoguard sandbox run --put ./tool --record-files -- ./tool --version\n"
        "evoguard sandbox run --tree . --take dist --out built --json -- python build.py"
    )
    verb(sandbox, "run", example=example)(run_command)
    app.add_typer(sandbox, name="sandbox")


def run_command(  # noqa: PLR0913  (each is one bound or one wish)
    session: Session,
    *,
    command: Annotated[list[str], typer.Argument(metavar="-- CMD...", help="The command; `python` is the sandbox's.")],
    put: Annotated[
        list[Path], typer.Option("--put", metavar="FILE", help="Copy this file into its working folder; repeatable.")
    ] = [],  # noqa: B006  (Typer reads it, nobody writes it)
    tree: Annotated[
        Path | None, typer.Option("--tree", metavar="DIR", help="Copy this folder's files into its working folder.")
    ] = None,
    layer: Annotated[
        list[Path], typer.Option("--layer", metavar="DIR", help="Mount this folder read-only under /opt/deps.")
    ] = [],  # noqa: B006
    take: Annotated[
        list[str], typer.Option("--take", metavar="PATH", help="A file or folder that is wanted back; with --out.")
    ] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="A new folder for what is wanted back.")
    ] = None,
    record_files: Annotated[bool, typer.Option("--record-files", help="Record every file it opens, too.")] = False,
    wall: Annotated[
        float, typer.Option("--wall", min=0.1, max=3600, metavar="S", help="How long it may take, in seconds.")
    ] = 60.0,
    memory: Annotated[
        int, typer.Option("--memory", min=64, max=65536, metavar="MIB", help="How much memory it may take, in MiB.")
    ] = 1024,
) -> int:
    """Run one command in gVisor: no network, no secrets, no files but those you put there. Shows what it tried.

    Exit code 0 when it ended with status 0 and nothing was found, 3 when it did not.
    """
    from evoguard.cli.files import contents
    from evoguard.cli.progress import progress
    from evoguard.errors import InputError
    from evoguard.wiring import sandbox as room

    if bool(take) != (out is not None):
        raise InputError("--take and --out belong together", code="usage", fix="pass both, or neither")
    files = room.tree_of(tree) if tree is not None else {}
    for path in put:
        files[path.name] = (path.stat().st_mode & 0o777 if path.exists() else 0, contents(path, "the file", FILE_BYTES))
    wanted = room.Wanted(tuple(command), files, tuple(layer), tuple(take), record_files, wall, memory)
    with progress("running it in gVisor"):
        report = run(room.execute_one(session.settings_or_defaults(), wanted))
    if out is not None and report.outcome == "finished":
        room.save(report, out)
    doc = room.as_json(report)
    session.answer(doc, lambda: _page(doc))
    good = report.outcome == "finished" and report.exit_status == 0 and not report.findings
    return exit_codes.DONE if good else exit_codes.DENIED


def _page(doc: Mapping[str, object]) -> None:
    seen = cast("Mapping[str, object]", doc["behaviour"])
    isolation = cast("Mapping[str, object]", doc["isolation"])
    for name in ("stdout", "stderr"):
        for row in str(doc[name] or "").splitlines():
            line(f"{name} | {row}")
    facts([("outcome", doc["outcome"]), ("exit status", doc["exit_status"]), ("wall", f"{doc['wall_ms']} ms")])
    facts([("isolation", f"{isolation['runsc']}, limits held by {isolation['limits']}"), ("behaviour", seen["status"])])
    for program in cast("Sequence[str]", seen["programs"]):
        line(f"  started {program}")
    for tried in cast("Sequence[Mapping[str, object]]", seen["connects"]):
        line(f"  {tried['process']} tried to connect to {tried['address']} port {tried['port']}")
    for path in cast("Sequence[str]", seen["files"]):
        line(f"  opened {path}")
    for item in cast("Sequence[Mapping[str, object]]", doc["artefacts"]):
        line(f"  took {item['path']}  {item['bytes']} bytes  {item['digest']}")
    if doc["omitted"]:
        line(f"  not taken: {doc['omitted']}")
    for finding in cast("Sequence[Mapping[str, object]]", doc["findings"]):
        line(f"finding: {finding['code']}: {finding['msg']}")
