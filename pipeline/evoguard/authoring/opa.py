"""OPA, run on a copy of the sources in a folder of its own, so that no path of this machine gets into a result."""

from __future__ import annotations

import json
import os
import re
import resource
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoguard.authoring.folder import CAPABILITIES, DATA, SCHEMA, Sources
from evoguard.authoring.problem import Problem, refuse
from evoguard.errors import ConfigError, InputError, UnavailableError

TIMEOUT_S = 180
MEMORY_BYTES = 4 << 30
_NO_MEMORY = (b"out of memory", b"cannot allocate memory")
MOST_ERRORS = "100"
MEND = "`evoguard tools get opa` builds it, once (about 80 s); or name one: --opa FILE or EVOGUARD_OPA=FILE"
_UNKNOWN = re.compile(r"undefined function (\S+)")
_TWICE = re.compile(r"package annotation redeclared: ([^:]+)")
_PLACED = re.compile(r"([\w./-]+\.(?:rego|json)):(\d+): (?:(rego_\w+): )?(.+)")
_CODES = {
    "rego_parse_error": "opa.parse",
    "rego_type_error": "opa.type",
    "rego_compile_error": "opa.compile",
    "rego_unsafe_var_error": "opa.unsafe_var",
    "rego_recursion_error": "opa.recursion",
}
_FIXES = {
    "opa.parse": "mend the Rego there",
    "opa.type": "schema/input.json has the fields of a question, capabilities.json the builtins",
}
_ENV = {"PATH": os.defpath, "LC_ALL": "C.UTF-8", "GOGC": "800", "GOMEMLIMIT": "2GiB"}
"""OPA sees nothing of the caller's environment. Collecting garbage seldom saves a third of the tests' time."""


@dataclass(frozen=True, slots=True)
class Opa:
    """One OPA and one copy of sources that it reads."""

    binary: Path
    home: Path
    sources: Sources

    def ask(self, *args: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Return how OPA ended.

        Raises: ConfigError when it cannot be run, UnavailableError when it does not end, InputError when a rule makes
        it ask for more memory than it gets.
        """
        words = [str(self.binary), *args]
        pipe = subprocess.PIPE
        try:
            with subprocess.Popen(
                words, cwd=self.home, stdin=pipe, stdout=pipe, stderr=pipe, env={**_ENV, "HOME": str(self.home)}
            ) as asked:
                try:
                    # Set from outside, for code between fork and exec is not safe beside threads.
                    resource.prlimit(asked.pid, resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
                    out, said = asked.communicate(stdin, timeout=TIMEOUT_S)
                except BaseException:
                    asked.kill()
                    raise
        except subprocess.TimeoutExpired as err:
            text = f"`opa {args[0]}` did not end in {TIMEOUT_S} s"
            raise UnavailableError("opa", text, fix="make the rules look at less, or try again") from err
        except OSError as err:
            raise ConfigError(f"OPA cannot be run: {err.strerror}", code="policy.opa", fix=MEND) from err
        if asked.returncode and any(word in said for word in _NO_MEMORY):
            text = f"policy: the rules make `opa {args[0]}` ask for more than {MEMORY_BYTES >> 30} GiB of memory"
            raise InputError(text, code="policy.too_much", fix="make the rules look at less")
        return subprocess.CompletedProcess(words, asked.returncode, out, said)

    def run(self, *args: str, stdin: bytes = b"") -> bytes:
        """Return what OPA prints. Raises: InputError with the place and the words of its first error."""
        done = self.ask(*args, stdin=stdin)
        if done.returncode:
            said = done.stderr + done.stdout
            refuse(problems_in(said))
            text = " ".join(said.decode(errors="replace").split())[:600]
            raise InputError(f"policy: opa {args[0]}: {text}", code="policy.opa_refuses", fix="mend the sources")
        return done.stdout

    def json(self, *args: str, stdin: bytes = b"") -> Any:  # noqa: ANN401  (JSON of another tool, read by its callers)
        """Return the JSON that OPA prints. Raises: InputError as `run`, UnavailableError when it is none."""
        try:
            return json.loads(self.run(*args, stdin=stdin))
        except (ValueError, RecursionError) as err:
            raise UnavailableError("opa", f"`opa {args[0]}` did not print JSON", fix="use the pinned OPA") from err

    def version(self) -> str:
        """Return OPA's version, empty when it does not tell."""
        found = re.search(rb"^Version: (\S+)$", self.run("version"), re.MULTILINE)
        return found.group(1).decode() if found else ""

    def check(self) -> list[Problem]:
        """Return what OPA's strict check says, with the schema of questions and the builtins that are allowed."""
        done = self.ask(
            *("check", "--strict", "--format", "json", "--max-errors", MOST_ERRORS, "--schema", SCHEMA),
            *("--capabilities", CAPABILITIES, *self.sources.rego(tests=True)),
        )
        if not done.returncode:
            return []
        found = problems_in(done.stderr + done.stdout)
        known = self._builtins() if any(one.code == "opa.type" for one in found) else frozenset()
        return sorted({_builtin(one, known) for one in found}) or [
            Problem(DATA, 0, "opa.check", done.stderr.decode(errors="replace")[:600].strip() or "opa check failed")
        ]

    def unformatted(self) -> list[str]:
        """Return the files that `opa fmt` would write otherwise. Raises: InputError when one does not parse."""
        said = self.run("fmt", "--list", *self.sources.rego(tests=True)).decode("utf-8", "replace")
        return sorted(path for path in said.split("\n") if path)

    def _builtins(self) -> frozenset[str]:
        doc = self.json("capabilities", "--current")
        return frozenset(str(one["name"]) for one in doc["builtins"])


@contextmanager
def at_work(binary: Path, sources: Sources) -> Iterator[Opa]:
    """Yield OPA beside a copy of the sources. Raises: InputError when a folder of them cannot be laid out."""
    with tempfile.TemporaryDirectory(prefix="evoguard-policy-") as place:
        home = Path(place)
        for path, text in sources.texts.items():
            (home / path).parent.mkdir(parents=True, exist_ok=True)
            (home / path).write_bytes(text.encode("utf-8"))
        yield Opa(binary.absolute(), home, sources)


def problems_in(said: bytes) -> list[Problem]:
    """Return the errors in what OPA said, as JSON or as text, each with its place; none when it said nothing of it."""
    text = said.decode("utf-8", "replace")
    try:
        doc = json.loads(text)
        errors = doc["errors"] if isinstance(doc, Mapping) else []
        return [_problem(one) for one in errors]
    except (ValueError, KeyError, TypeError, RecursionError):
        placed = (_PLACED.search(line) for line in text.splitlines())
        return [_made(one[1].removeprefix("./"), int(one[2]), one[3] or "", one[4].strip()) for one in placed if one]


def _problem(error: Mapping[str, Any]) -> Problem:
    at = error.get("location") or {}
    return _made(str(at.get("file", DATA)), int(at.get("row", 0)), str(error.get("code")), str(error.get("message")))


def _made(file: str, line: int, code: str, said: str) -> Problem:
    named = _CODES.get(code, "opa.check")
    if twice := _TWICE.search(said):
        text = f"the package is taken: {twice[1]} is it as well"
        return Problem(file, line, "policy.code_taken", text, "one package and one file for each code")
    return Problem(file, line, named, said[:600], _FIXES.get(named, "mend the sources there"))


def _builtin(problem: Problem, known: frozenset[str]) -> Problem:
    """Return the problem by its right name when it is a builtin that rules may not use."""
    named = _UNKNOWN.search(problem.msg)
    if named is None or named[1] not in known:
        return problem
    fix = "rules see the question and the data alone; use a builtin that capabilities.json lists"
    return Problem(problem.file, problem.line, "policy.builtin", f"the builtin {named[1]} is not allowed", fix)
