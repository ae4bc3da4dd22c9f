"""Verbs of the sandbox itself: try a command or a new binary before anything trusts it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import facts, line, note

FILE_BYTES = 64 << 20
BAR_CELLS = 20
NOT_STARTED = 126

sandbox = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Run a command in gVisor and see what it does, from outside."
)


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    example = (
        "evoguard sandbox run -- python -c 'print(1)'\n"
        "evoguard sandbox run --put ./tool --record-files -- ./tool --version\n"
        "evoguard sandbox run --put layer.tar.gz -- sh -c 'tar xzf layer.tar.gz; exec usr/bin/tool'\n"
        "evoguard sandbox run --tree . --take dist --out built --json -- python build.py"
    )
    verb(sandbox, "run", example=example)(run_command)
    example = "evoguard sandbox judge --repo . --base main --head fix\n"
    example += "git diff main | evoguard sandbox judge --repo . --base main --patch - --json"
    verb(sandbox, "judge", example=example)(judge)
    app.add_typer(sandbox, name="sandbox")


Paths = list[Path]
Words = list[str]
PUT = typer.Option("--put", metavar="FILE", help="Copy this file into its working folder; repeatable.")
TREE = typer.Option("--tree", metavar="DIR", help="Copy this folder's files into its working folder.")
LAYER = typer.Option("--layer", metavar="DIR", help="Mount this folder read-only under /opt/deps.")
TAKE = typer.Option("--take", metavar="PATH", help="A file or folder that is wanted back; with --out.")
OUT = typer.Option("--out", metavar="DIR", help="A new folder for what is wanted back.")
WALL = typer.Option("--wall", min=0.1, max=3600, metavar="S", help="How long it may take, in seconds.")
MEMORY = typer.Option("--memory", min=64, max=65536, metavar="MIB", help="How much memory it may take, in MiB.")
ALLOW = typer.Option("--allow", metavar="HOST:PORT", help="Let it reach this by a logging proxy; repeatable.")


def run_command(  # noqa: PLR0913  (each is one bound or one wish)
    session: Session,
    *,
    command: Annotated[Words, typer.Argument(metavar="-- CMD...", help="The command; `python` is the sandbox's.")],
    put: Annotated[Paths, PUT] = [],  # noqa: B006  (Typer reads it, nobody writes it)
    tree: Annotated[Path | None, TREE] = None,
    layer: Annotated[Paths, LAYER] = [],  # noqa: B006
    take: Annotated[Words, TAKE] = [],  # noqa: B006
    out: Annotated[Path | None, OUT] = None,
    record_files: Annotated[bool, typer.Option("--record-files", help="Record every file it opens, too.")] = False,
    wall: Annotated[float, WALL] = 60.0,
    memory: Annotated[int, MEMORY] = 1024,
    allow: Annotated[Words, ALLOW] = [],  # noqa: B006
) -> int:
    """Run one command in gVisor: no network, no secrets, no files but those you put there. Shows what it tried.

    The room holds Python, the system's own commands and what you put there; no pip, no compiler, no network.

    With --allow it reaches those hosts and ports, by http_proxy and https_proxy alone; every request is shown.

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
    wanted = room.Wanted(tuple(command), files, tuple(layer), tuple(take), record_files, wall, memory,
                         room.places(allow))  # fmt: skip
    with progress("running it in gVisor"):
        report = run(room.execute_one(session.settings_or_defaults(), wanted))
    if out is not None and report.outcome == "finished":
        room.save(report, out)
    doc = room.as_json(report, wanted.limits)
    session.answer(doc, lambda: _page(doc))
    if report.exit_status == NOT_STARTED and b"did not start" in report.stderr:
        note(f"{command[0]} is not in the room, or cannot be run there: bring it by --put, --tree or --layer")
    if report.limits_mode == "guest-only":
        note("memory and tasks were not held from outside: that takes root and cgroups (see `evoguard doctor`)")
    good = report.outcome == "finished" and report.exit_status == 0 and not report.findings
    return exit_codes.DONE if good else exit_codes.DENIED


def judge(
    session: Session,
    *,
    repo: Annotated[Path, typer.Option("--repo", metavar="PATH", help="Your git repository; no git runs in it.")],
    base: Annotated[str, typer.Option("--base", metavar="REF", help="What the change is on top of.")],
    head: Annotated[str, typer.Option("--head", metavar="REF", help="The commit or branch to judge.")] = "",
    patch: Annotated[
        Path | None, typer.Option("--patch", metavar="FILE", help="A diff instead of --head; - is stdin.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run it, also when it was judged here before.")] = False,
) -> int:
    """Judge a change as the guard would, before you submit it: the base's tests, mutants, a run apart from the code.

    Nothing is stored in the guard and held-out tests are left out, so a pass here is no approval. The very same change
    is answered from memory.

    Exit code 0 when it passed, 3 when it did not.
    """
    from evoguard.cli.evidence_page import evidence_page
    from evoguard.cli.files import PATCH_BYTES, contents
    from evoguard.cli.progress import progress
    from evoguard.wiring import judging

    diff = contents(patch, "the patch", PATCH_BYTES, stdin=True) if patch is not None else None
    with progress("running its tests in gVisor"):
        doc = run(judging.judge(session.settings_or_defaults(), judging.Wanted(repo, base, head, diff, fresh)))

    def page() -> None:
        evidence_page(doc)
        if pool := cast("Mapping[str, object]", doc["pool"]):
            asked = cast("int", pool["hits"]) + cast("int", pool["misses"])
            line(f"pool: {pool['mode']}; of {asked} sandboxes {pool['hits']} stood ready")

    session.answer(doc, page)
    return exit_codes.DONE if doc["passed"] else exit_codes.DENIED


def _page(doc: Mapping[str, object]) -> None:
    isolation = cast("Mapping[str, object]", doc["isolation"])
    for name in ("stdout", "stderr"):
        for text in str(doc[name] or "").splitlines():
            line(f"{name} | {text}")
    facts([("outcome", doc["outcome"]), ("exit status", doc["exit_status"]), ("wall", f"{doc['wall_ms']} ms")])
    kind = isolation["name"] or "NOT PROVED"
    facts([("isolation", f"{kind} ({isolation['runsc']}), limits held by {isolation['limits']}")])
    for resource in _rows(doc, "usage"):
        line(f"  {bar(resource)}")
    _behaviour(cast("Mapping[str, object]", doc["behaviour"]))
    for asked in _rows(doc, "egress"):
        end = f"{asked['sent_bytes']} bytes out, {asked['received_bytes']} in" if asked["allowed"] else "denied"
        line(f"  {asked['method']} {asked['host']}:{asked['port']}: {end}{'; ' if asked['why'] else ''}{asked['why']}")
    for item in _rows(doc, "artefacts"):
        line(f"  took {item['path']}  {item['bytes']} bytes  {item['digest']}")
    if doc["omitted"]:
        line(f"  not taken: {doc['omitted']}")
    for finding in _rows(doc, "findings"):
        line(f"finding: {finding['code']}: {finding['msg']}")


def _behaviour(seen: Mapping[str, object]) -> None:
    facts([("behaviour", seen["status"])])
    for program in cast("Sequence[str]", seen["programs"]):
        line(f"  started {program}")
    for tried in _rows(seen, "connects"):
        line(f"  {tried['process']} tried to connect to {tried['address']} port {tried['port']}")
    for path in cast("Sequence[str]", seen["files"]):
        line(f"  opened {path}")


def _rows(doc: Mapping[str, object], name: str) -> Sequence[Mapping[str, object]]:
    return cast("Sequence[Mapping[str, object]]", doc[name])


def bar(row: Mapping[str, object]) -> str:
    """Return one resource as a line: how much of its limit was taken, drawn and told."""
    used, limit, unit = cast("int", row["used"]), cast("int", row["limit"]), row["unit"]
    if not row["counted"]:
        return f"{row['name']:<15} {'':{BAR_CELLS + 2}} not counted, limit {_amount(limit, unit)}"
    cells = min(BAR_CELLS, -(-BAR_CELLS * used // limit))
    drawn = "#" * cells + "." * (BAR_CELLS - cells)
    return f"{row['name']:<15} [{drawn}] {_amount(used, unit)} of {_amount(limit, unit)}"


def _amount(value: int, unit: object) -> str:
    if unit == "bytes":
        return f"{value / (1 << 20):.1f} MiB" if value % (1 << 20) else f"{value >> 20} MiB"
    return f"{value / 1000:.2f} s" if unit == "ms" else f"{value}"
