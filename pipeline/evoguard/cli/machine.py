"""Verbs about this machine: doctor, bench, demo."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, cast

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import line, note, table


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    verb(app, "doctor", example="evoguard doctor\nevoguard doctor --json --no-start")(doctor)
    verb(app, "bench", example="\n".join(f"evoguard bench {one:<10} # {what}" for one, what in BENCHES.items()))(bench)
    verb(app, "demo", example="evoguard demo")(demo)


def doctor(
    session: Session,
    no_start: Annotated[bool, typer.Option("--no-start", help="Do not start a sandbox to prove gVisor.")] = False,
) -> int:
    """Look at every part: its version, its digest, and ok or the mend. Changes nothing."""
    from evoguard.cli.progress import progress
    from evoguard.wiring.doctor import examine

    with progress("examining every part"):
        doc = run(examine(session.settings(), start=not no_start))
    parts = cast("list[Mapping[str, object]]", doc["parts"])
    names = ("name", "standing", "version", "detail", "mend")

    def page() -> None:
        table(names, ([part[name] for name in names] for part in parts))
        line(doc["threat_model"])

    session.answer(doc, page)
    return exit_codes.DONE if doc["ok"] else exit_codes.ERROR


BENCHES = {
    "guard": "what the guard itself costs a change, from submission to the first stage",
    "risk": "the past and the reach of a change in a repository of 10,000 commits",
    "kpis": "a look at a rollout after a day of KPI batches",
    "policy": "a decision at 10 to 1,000 files, rules that run away, the past asked again",
    "scan": "the look for known faults in what a change adds",
    "changes": "malicious changes caught and honest ones refused, through the scan and the rules (half an hour)",
    "attacker": "a search that learns to get bad behaviour past check, judge and watch (--quick: minutes)",
    "abort": "healthy rollouts aborted and bad ones found, beside the rules of other tools",
    "kill": "a kill until stock SDKs are off: streaming, polling, under load",
    "crash": "kill -9 of worker, flag server and router in a rollout",
    "sandbox": "one sandbox: from the pool, cold, its memory, its end",
    "suite": "a whole verdict beside the plain suite",
    "suites": "real packages' own suites: the same outcomes, the price (an hour)",
    "forgeries": "wrong programs that try to look green (half an hour)",
    "edge": "what the edge adds to a request, beside a plain reverse proxy and none",
    "telemetry-forgeries": "candidates behind the edge that try to look healthy",
    "escapes": "probes that try to get out or to use up the host",
}


def bench(  # noqa: PLR0913, PLR0917  (each is one option)
    session: Session,
    name: Annotated[str, typer.Argument(help="One of those below.")],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer rounds.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when a bar is missed.")] = False,
    budget: Annotated[int | None, typer.Option(help="attacker: how many patches it may try.")] = None,
    seed: Annotated[int | None, typer.Option(help="attacker: the same seed tries the same patches.")] = None,
    out: Annotated[str | None, typer.Option(help="attacker: the file for its best bypasses, as patches.")] = None,
) -> int:
    """Measure: every figure beside its bar and what a user would have without us, in one call.

    `attacker` is a search: it plants bad behaviour in a tested package, hides it by what the gates tell it, and counts
    what is let in unwarned. Read the patches that it writes: `evoguard bench attacker --budget 300 --seed 1`.
    """
    import importlib
    import inspect

    from evoguard.cli.progress import progress
    from evoguard.errors import InputError

    room = importlib.import_module("evoguard.bench")  # a neighbour: found when asked for, never imported
    known = getattr(room, "NAMES", None)
    if known is not None and name not in known:
        raise InputError(f"there is no bench {name[:40]!r}", code="bench.unknown", fix=f"one of {', '.join(known)}")
    with progress(f"bench {name}"):
        given = {"budget": budget, "seed": seed, "out": out}
        answer = room.run(name, quick=quick, **{one: value for one, value in given.items() if value is not None})
        doc: Mapping[str, object] = run(answer) if inspect.iscoroutine(answer) else answer
    figures = cast("list[Mapping[str, object]]", doc["figures"])
    names = ("name", "value", "unit", "bar", "baseline", "ok")
    session.answer(doc, lambda: table(names, ([figure.get(n, "") for n in names] for figure in figures)))
    missed = any(figure.get("ok") is False for figure in figures)
    return exit_codes.ERROR if check and missed else exit_codes.DONE


def demo(session: Session) -> int:
    """Carry six proposals through the guard on real traffic; needs evoguard's checkout."""
    import os
    import sys

    from evoguard.errors import ConfigError

    script = checkout() / "examples" / "lending" / "demo.py"
    if not script.is_file():
        raise ConfigError("the demo is part of evoguard's checkout, not of an installed package", code="demo.missing",
                          fix="git clone evoguard, then `make demo`")  # fmt: skip
    if session.state is not None:
        note("the demo has a state folder of its own; --state is not used")
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, str(script)])  # noqa: S606  (our own file; signals reach it directly)


def checkout() -> Path:
    """Return the folder that a checkout would be in."""
    return Path(__file__).resolve().parents[3]
