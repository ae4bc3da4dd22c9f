"""Everything that can be said of a policy folder without running a question through it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoguard.authoring import modules, probe, scan_rules, structure
from evoguard.authoring.builder import unformatted
from evoguard.authoring.folder import Sources
from evoguard.authoring.opa import Opa, at_work
from evoguard.authoring.problem import Problem
from evoguard.domain.canonical import Json
from evoguard.errors import InputError

REGAL_TIMEOUT_S = 120
NO_REGAL = "Regal was not run: no `regal` in the tool cache or on PATH (its style checks are extra)"
REGAL_CONFIG = """# Regal's own checks of style, beside those of `evoguard policy lint`.
rules:
  idiomatic:
    no-defined-entrypoint:
      level: ignore # the build names the entry points itself
  style:
    line-length:
      level: ignore
"""


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
    """Add what Regal calls an error; return what is to be said of it."""
    config = opa.home / ".regal" / "config.yaml"
    config.parent.mkdir()
    own = opa.sources.folder / ".regal" / "config.yaml"
    config.write_bytes(own.read_bytes() if own.is_file() and not own.is_symlink() else REGAL_CONFIG.encode())
    try:
        done = subprocess.run(
            [str(regal), "lint", "--format", "json", "--config-file", str(config), *opa.sources.rego(tests=True)],
            cwd=opa.home, capture_output=True, check=False, timeout=REGAL_TIMEOUT_S,
        )  # fmt: skip
        found = json.loads(done.stdout)["violations"]
        problems += [_violation(one) for one in found if one.get("level", "error") == "error"]
    except (OSError, subprocess.TimeoutExpired) as err:
        return f"Regal could not be run: {type(err).__name__}"
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return "Regal was run and did not answer in its own format, so nothing of it is listed"
    return f"Regal was run: {len(found)} remarks"


def _violation(row: dict[str, Any]) -> Problem:
    at = row["location"]
    code = f"regal.{row.get('category', '')}.{row.get('title', '')}"[:100]
    return Problem(str(at["file"])[:255], int(at["row"]), code, str(row.get("description", ""))[:600])
