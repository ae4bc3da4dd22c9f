"""Everything that can be said of a policy folder without running a question through it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoguard.authoring import editor, modules, probe, scan_rules, structure
from evoguard.authoring.builder import unformatted
from evoguard.authoring.folder import Sources
from evoguard.authoring.opa import Opa, at_work
from evoguard.authoring.problem import Problem
from evoguard.domain.canonical import Json
from evoguard.errors import InputError

REGAL_TIMEOUT_S = 120
NO_REGAL = "Regal was not run: there is none (its checks of style are extra); `evoguard tools get regal` builds it"
NO_ANSWER = "lint again; if it stays so, remove that Regal or name another on PATH: `evoguard tools get regal`"
CLEAN, WARNED, FOUND = 0, 2, 3
"""How `regal lint` ends when it did its work; every other end is no answer."""


@dataclass(frozen=True, slots=True)
class Linted:
    """What was found, sorted, how many files were looked at, and what was said of Regal."""

    problems: Sequence[Problem]
    files: int
    rules: int
    regal: str

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        found: list[Json] = [problem.as_json() for problem in self.problems]
        return {
            "ok": not self.problems,
            "files": self.files,
            "rules": self.rules,
            "regal": self.regal,
            "problems": found,
        }


def lint(binary: Path, sources: Sources, *, capabilities: str, regal: Path | None = None) -> Linted:
    """Return every problem of the sources. `capabilities` are those of the bundle that ships: more is a problem.

    Raises: ConfigError, UnavailableError when OPA cannot be asked.
    """
    with at_work(binary, sources) as opa:
        problems, rules = opa.check(), 0
        problems += _capabilities(sources, capabilities)
        problems += scan_rules.examine(sources.texts)[1]
        if not any(problem.code == "opa.parse" for problem in problems):
            problems += unformatted(opa)
            found = structure.examine(sources, modules.read(opa))
            problems, rules = [*problems, *found.problems], len(found.rules)
            if not problems or {problem.code for problem in problems} <= {"policy.format", "policy.no_tests"}:
                problems += probe.problems(probe.probe(opa, found), found)
        else:
            problems += structure.data_problems(sources)
        said = NO_REGAL if regal is None else _regal(opa, regal, problems)
    return Linted(tuple(sorted(set(problems))), len(sources.texts), rules, said)


def find_regal(cache: Path) -> Path | None:
    """Return Regal from the tool cache or PATH, None when there is none."""
    cached = sorted(cache.glob("regal-*/regal"), key=lambda path: path.stat().st_mtime)
    named = shutil.which("regal")
    return cached[-1] if cached else Path(named) if named else None


def _capabilities(sources: Sources, shipped: str) -> list[Problem]:
    try:
        return structure.wider(sources, shipped)
    except InputError as err:
        return [Problem("capabilities.json", 1, err.code, err.message.removeprefix("policy: "), err.fix)]


def _regal(opa: Opa, regal: Path, problems: list[Problem]) -> str:
    """Add what Regal calls an error; return what is to be said of it. A Regal that gives no answer is a problem."""
    config = opa.home / editor.REGAL
    config.parent.mkdir()
    own = opa.sources.folder / editor.REGAL
    config.write_bytes(
        own.read_bytes() if own.is_file() and not own.is_symlink() else editor.files()[editor.REGAL].encode()
    )
    words = ["lint", "--format", "json", "--config-file", str(config), *opa.sources.rego(tests=True)]
    why = ""
    try:
        done = subprocess.run([str(regal), *words], cwd=opa.home, capture_output=True, check=False,
                              timeout=REGAL_TIMEOUT_S)  # fmt: skip
        why = done.stderr.decode("utf-8", "replace").strip()[:300]
        if done.returncode in (CLEAN, WARNED, FOUND):
            found = json.loads(done.stdout)["violations"]
            errors = [_violation(one) for one in found if one.get("level") != "warning"]
            problems += errors
            return f"Regal was run: {len(errors)} errors, {len(found) - len(errors)} warnings"
    except (OSError, subprocess.TimeoutExpired) as err:
        why = type(err).__name__
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        why = "it did not answer in its own format"
    problems.append(
        Problem(editor.REGAL, 0, "regal.no_answer", f"Regal gave no answer: {why or 'no reason'}", NO_ANSWER)
    )
    return "Regal was run and gave no answer"


def _violation(row: dict[str, Any]) -> Problem:
    at = row["location"]
    code = f"regal.{row.get('category', '')}.{row.get('title', '')}"[:100]
    return Problem(str(at["file"])[:255], int(at["row"]), code, str(row.get("description", ""))[:600])
