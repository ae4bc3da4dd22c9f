"""The tests of a policy folder, run by OPA, and what they cover: lines, and whether each rule fires and stays silent.

"Fires" and "silent" are proved, not read off a trace: see `probe`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoguard.authoring import modules, probe, structure
from evoguard.authoring.folder import DATA, Sources
from evoguard.authoring.opa import Opa, at_work, problems_in
from evoguard.authoring.probe import Probed
from evoguard.authoring.problem import Problem, refuse
from evoguard.domain.canonical import Json
from evoguard.errors import UnavailableError

BARS = {"constitution": 100}
BAR = 90
"""Least percent of covered lines, by severity; also of what is shared by rules."""
TEST_S = "30s"


@dataclass(frozen=True, slots=True)
class Ran:
    """One test: package/name, where it stands, and why it failed; empty when it is green."""

    name: str
    file: str
    line: int
    why: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        return {"name": self.name, "file": self.file, "line": self.line, "passed": not self.why, "why": self.why}


@dataclass(frozen=True, slots=True)
class Covered:
    """One file that is no test: percent of its lines that tests reached, the least it needs, the lines not reached.

    `tenths` is the share in tenths of a percent, rounded down; None when it was not measured, for a test failed.
    """

    file: str
    code: str
    severity: str
    bar: int
    tenths: int | None
    missed: tuple[int, ...]
    probed: Probed | None

    @property
    def problems(self) -> list[str]:
        """Return what is wrong with it, in words."""
        found = []
        if self.tenths is not None and self.tenths < self.bar * 10:
            lines = ", ".join(map(str, self.missed[:20]))
            found.append(f"{self.tenths / 10:g} % of its lines are covered, at least {self.bar} % must be: {lines}")
        if self.probed is not None:
            found += [f"no test needs its `{n}` to fire" for n in self.probed.sets if n not in self.probed.fires]
            found += [f"no test needs its `{n}` to be silent" for n in self.probed.sets if n not in self.probed.silent]
        return found

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        known = self.probed
        return {
            "file": self.file, "code": self.code, "severity": self.severity, "bar_percent": self.bar,
            "covered_permille": self.tenths, "missed_lines": [*self.missed],
            "fires": sorted(known.fires) if known else None, "silent": sorted(known.silent) if known else None,
            "sets": [*known.sets] if known else [], "problems": [*self.problems],
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Tested:
    """What the tests say. Zero tests are no pass, and neither is a rule that no test needs."""

    tests: Sequence[Ran]
    files: Sequence[Covered]

    @property
    def failed(self) -> list[Ran]:
        """Return the tests that are not green."""
        return [test for test in self.tests if test.why]

    @property
    def ok(self) -> bool:
        """Tell whether there are tests, all are green, and they cover what they must."""
        measured = bool(self.files) and all(file.tenths is not None and not file.problems for file in self.files)
        return bool(self.tests) and not self.failed and measured

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        return {
            "ok": self.ok,
            "passed": len(self.tests) - len(self.failed),
            "failed": len(self.failed),
            "tests": [test.as_json() for test in self.tests],
            "files": [file.as_json() for file in self.files],
        }


def run(binary: Path, sources: Sources) -> Tested:
    """Return what the tests of a folder say. Coverage is measured when all are green.

    Raises: InputError for sources that do not compile or do not fit, and for no test at all; ConfigError.
    """
    with at_work(binary, sources) as opa:
        refuse(opa.check())
        found = structure.examine(sources, modules.read(opa))
        if not found.tests:
            text = "there is no test at all, and no test is no pass"
            refuse([Problem(DATA, 0, "policy.no_tests", text, "write `area/name_test.rego` beside each rule")])
        refuse([one for one in found.problems if one.code != "policy.no_tests"])
        with ThreadPoolExecutor(3) as pool:  # each is a process of its own; what needs green tests is dropped without
            lines, probed = pool.submit(_lines, opa), pool.submit(probe.probe, opa, found)
            tests = _tests(opa)
        ran = {test.name for test in tests}
        tests += [Ran(name, *place, "it was not run") for name, place in found.tests.items() if name not in ran]
        green = bool(tests) and not any(test.why for test in tests)
        measured, needs = (lines.result(), probed.result()) if green else ({}, {})
    files = [_covered(path, found, measured, needs, green=green) for path in sources.rego(tests=False)]
    return Tested(tuple(tests), tuple(sorted(files, key=lambda one: (not one.code, one.code, one.file))))


def _tests(opa: Opa) -> list[Ran]:
    done = opa.ask("test", "--format", "json", "--timeout", TEST_S, *opa.sources.rego(tests=True), DATA)
    try:
        rows = json.loads(done.stdout)
        return sorted((_ran(row) for row in rows if not row.get("skip")), key=lambda one: one.name)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as err:
        refuse(problems_in(done.stderr + done.stdout))
        said = done.stderr.decode("utf-8", "replace").strip()[:300]
        raise UnavailableError("opa", f"`opa test` gave no results: {said}", fix="mend the sources") from err


def _ran(row: Mapping[str, Any]) -> Ran:
    package = str(row["package"]).removeprefix("data.").replace(".", "/")
    why = "" if not row.get("fail") and not row.get("error") else "it is false or undefined"
    if error := row.get("error"):
        why = str(error.get("message", error) if isinstance(error, Mapping) else error)[:300] or why
    at = row["location"]
    return Ran(f"{package}/{row['name']}", str(at["file"]).removeprefix("./"), int(at["row"]), why)


def _lines(opa: Opa) -> Mapping[str, Any]:
    """Return what OPA says of each file's lines."""
    # The supplementary runs only say why a line was missed, and take as long again.
    report = opa.json(
        *("test", "--coverage", "--coverage-runs", "", "--format", "json", "--timeout", TEST_S),
        *(*opa.sources.rego(tests=True), DATA),
    )
    return {str(path).removeprefix("./"): about for path, about in report["files"].items()}


def _covered(
    path: str, found: structure.Structure, lines: Mapping[str, Any], probed: Mapping[str, Probed], *, green: bool
) -> Covered:
    code = next((code for code, module in found.rules.items() if module.path == path), "")
    severity = found.codes[code]["severity"] if code else ""
    about = lines.get(path, {})
    missed = {
        row for part in about.get("not_covered", []) for row in range(part["start"]["row"], part["end"]["row"] + 1)
    }
    tenths = min(1000, int(float(about.get("coverage", 0)) * 10)) if green else None
    if tenths == 1000 and missed:
        tenths = 999
    return Covered(path, code, severity, BARS.get(severity, BAR), tenths, tuple(sorted(missed)), probed.get(code))
