"""Run a suite split: tests in one interpreter, the code under test in another, two pipes. No gVisor.

As a program: python splitting.py --lib LIB FOLDER:SOURCE:PACKAGE[,PACKAGE][:TESTS] ... prints a table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import textwrap
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

GUEST = Path(__file__).resolve().parents[3] / "sandbox" / "evoguard_sandbox" / "guest"
sys.path.append(str(GUEST))

import split_kinds  # noqa: E402, F401 (a guest program, imported by its own name as it is in the guest)
import split_link  # noqa: E402
import split_values  # noqa: E402
import split_wire  # noqa: E402

# The trusted side of these runs: what the room's own runner does, as short as it can be.
RUNNER = """
import json, sys
order = json.loads(sys.argv[1])
sys.path[:0] = order["lib"]
import pytest
link = None
if order["fds"]:
    sys.path.append(order["guest"])
    import split_near
    link = split_near.connect(*order["fds"], order["packages"], wait_ms=order["wait_ms"])
else:
    sys.path += order["path"]
seen, leaned, was = {}, [], [0, 0]
class Notes:
    def pytest_runtest_logstart(self):
        if link is not None:
            was[:] = link.unsplit, link.leaned
    def pytest_runtest_logfinish(self, nodeid):
        if link is None:
            return
        if link.unsplit != was[0] and seen.get(nodeid, [""])[0] == "passed":
            seen[nodeid] = ["failed", "a part of it could not run apart from the code"]
        if link.leaned != was[1]:
            leaned.append(nodeid)
    def pytest_runtest_logreport(self, report):
        if report.when == "call" or report.outcome != "passed":
            seen[report.nodeid] = [report.outcome, str(report.longrepr or "")[-order["chars"]:]]
    def pytest_collectreport(self, report):
        if report.failed:
            seen[report.nodeid + " (collect)"] = ["failed", str(report.longrepr)[-order["chars"]:]]
status = pytest.main(order["args"], plugins=[Notes()])
told = {"seen": seen, "status": int(status)}
if link is not None:
    told |= {"calls": link.calls, "tamper": link.tamper, "unsplit": link.unsplit, "log": link.log}
    told |= {"leaned": leaned}
with open(order["out"], "w", encoding="utf-8") as file:
    json.dump(told, file)
"""


@dataclass
class Told:
    """What one run showed."""

    seen: dict[str, tuple[str, str]]
    calls: int = 0
    tamper: str = ""
    unsplit: int = 0
    log: list[list[Any]] = field(default_factory=list)
    leaned: list[str] = field(default_factory=list)
    """The ids in which the code's own comparison decided something."""
    seconds: float = 0.0
    output: str = ""

    def passed(self) -> set[str]:
        """The ids that passed."""
        return {name for name, (outcome, _) in self.seen.items() if outcome == "passed"}


@dataclass(frozen=True)
class Plan:
    """One suite, and what the code under test is."""

    folder: Path
    path: tuple[str, ...]
    packages: tuple[str, ...]
    args: tuple[str, ...] = ("tests",)
    lib: tuple[str, ...] = tuple(p for p in sys.path if p.endswith("site-packages"))
    wait_ms: int = 20_000
    chars: int = 3000
    timeout_s: float = 900.0


def start_far(plan: Plan, *, program: Path = GUEST / "split_far.py") -> tuple[subprocess.Popen[bytes], int, int]:
    """Start the side of the code under test; return it with the ends of the pipes that the trusted side holds."""
    asked, ask = os.pipe()
    answered, answer = os.pipe()
    far = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", str(program), str(asked), str(answer)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        pass_fds=(asked, answer),
        cwd="/",
        env={},
    )
    os.close(asked)
    os.close(answer)
    assert far.stdin is not None
    order = {"path": list(plan.path), "packages": list(plan.packages)}
    far.stdin.write(json.dumps(order).encode() + b"\n")
    far.stdin.close()
    return far, answered, ask


@contextlib.contextmanager
def linked(source: str, *, wait_ms: int = 20_000) -> Iterator[Any]:
    """Yield the module `cand`, made of `source`, on the other side of a connection of this very process."""
    with tempfile.TemporaryDirectory() as place:
        Path(place, "cand.py").write_text(textwrap.dedent(source), encoding="utf-8")
        far, read_fd, write_fd = start_far(Plan(Path(place), (place,), ("cand",)))
        link = split_link.Link(split_wire.Pipe(read_fd, write_fd, wait_ms), ["cand"])
        try:
            link.ask("import", "cand")
            yield link.module("cand")
        finally:
            os.close(read_fd)
            os.close(write_fd)
            far.kill()
            far.wait()


def link_of(module: Any) -> Any:  # noqa: ANN401 (a stand-in)
    """Return the connection behind a stand-in module."""
    return split_values._own(module)["_split_link"]


def run(plan: Plan, *, split: bool = True, program: Path = GUEST / "split_far.py") -> Told:
    """Run the suite once and return what was seen."""
    began = time.monotonic()
    far, read_fd, write_fd = start_far(plan, program=program) if split else (None, -1, -1)
    with tempfile.TemporaryDirectory() as place:
        order = {
            "lib": plan.lib,
            "guest": str(GUEST),
            "fds": [read_fd, write_fd] if split else [],
            "packages": plan.packages,
            "path": plan.path,
            "wait_ms": plan.wait_ms,
            "chars": plan.chars,
            "out": f"{place}/told.json",
            "args": [
                "-q",
                "-p",
                "no:cacheprovider",
                "-p",
                "no:hypothesispytest",
                "--continue-on-collection-errors",
                f"--basetemp={place}/t",
                *plan.args,
            ],
        }
        try:
            done = subprocess.run(
                [sys.executable, "-I", "-S", "-B", "-c", RUNNER, json.dumps(order)],
                cwd=plan.folder,
                env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PATH": "/usr/bin:/bin"},
                capture_output=True,
                text=True,
                check=False,
                timeout=plan.timeout_s,
                pass_fds=(read_fd, write_fd) if split else (),
            )
        finally:
            if far is not None:
                os.close(read_fd)
                os.close(write_fd)
                far.kill()
                far.wait()
        out = Path(order["out"])
        told = json.loads(out.read_text("utf-8")) if out.exists() else {"seen": {}}
    told.pop("status", None)
    seen = {name: (outcome, why) for name, (outcome, why) in told.pop("seen").items()}
    return Told(seen, **told, seconds=time.monotonic() - began, output=done.stdout[-4000:] + done.stderr[-4000:])


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("suites", nargs="+")
    parser.add_argument("--lib", required=True)
    parser.add_argument("--why", type=Path, help="a folder for the reasons of tests that do not run split")
    asked = parser.parse_args()
    print(
        f"{'suite':24}{'tests':>7}{'plain':>7}{'split':>7}{'share':>7}{'calls':>9}{'plain s':>9}{'split s':>9}  tamper"
    )
    for suite in asked.suites:
        folder, source, packages, *more = suite.split(":")
        place = Path(folder).resolve()
        plan = Plan(
            place,
            (str(place / source),),
            tuple(packages.split(",")),
            args=tuple(more) or ("tests",),
            lib=(asked.lib,),
        )
        plain, split = run(plan, split=False), run(plan)
        both = plain.passed() & split.passed()
        share = 100 * len(both) // max(1, len(plain.passed()))
        print(
            f"{place.name:24}{len(plain.seen):7}{len(plain.passed()):7}{len(both):7}{share:6}%{split.calls:9}"
            f"{plain.seconds:9.1f}{split.seconds:9.1f}  {split.tamper or split.output[-200:] * (not split.seen)}"
        )
        if asked.why:
            reasons = {name: why for name, (outcome, why) in split.seen.items() if outcome != "passed"}
            (asked.why / f"{place.name}.json").write_text(json.dumps(reasons, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
