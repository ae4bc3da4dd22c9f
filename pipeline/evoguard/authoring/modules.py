"""What the Rego files of a folder hold: packages, rules, tests and METADATA, as OPA itself reads them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import Any

import yaml  # type: ignore[import-untyped]  # the package has no types of its own

from evoguard.authoring.folder import is_test
from evoguard.authoring.opa import Opa
from evoguard.authoring.problem import line_of

RULES, TESTS = "evoguard.rules.", "evoguard_test."
SETS = ("deny", "escalate", "notes")
"""What a rule may hold: it refuses, it asks for people's eyes, it informs."""
DIVISIONS, TERMS = frozenset({"div", "rem"}), 3
_PARSE = "{path: module | some path, text in input.texts; module := rego.parse_module(path, text)}"


@dataclass(frozen=True, slots=True)
class Module:
    """One Rego file. `line` is that of its package."""

    path: str
    line: int
    package: str
    names: tuple[str, ...]
    about: Mapping[str, Any]
    divides: bool = False
    """Whether it divides by something that is not plainly a number other than 0."""

    @property
    def code(self) -> str:
        """Return the code of the rule that the package is, empty when it is none."""
        inside = self.package.startswith(RULES) and not is_test(self.path)
        return self.package.removeprefix(RULES) if inside else ""

    @property
    def sets(self) -> tuple[str, ...]:
        """Return which sets of findings the rule holds."""
        return tuple(name for name in SETS if name in self.names)

    @property
    def tests(self) -> list[str]:
        """Return the names of its tests, in order; one that stands twice is listed twice."""
        return [name for name in self.names if name.startswith("test_")] if is_test(self.path) else []


def read(opa: Opa) -> dict[str, Module]:
    """Return path → module of every Rego file that parses; one process of OPA, however many files there are."""
    texts = {path: opa.sources.texts[path] for path in opa.sources.rego(tests=True)}
    asked = json.dumps({"texts": texts}).encode()
    parsed = opa.json("eval", "-f", "json", "-I", _PARSE, stdin=asked)["result"][0]["expressions"][0]["value"]
    return {path: _module(path, texts[path], parsed[path]) for path in sorted(parsed)}


def _module(path: str, text: str, parsed: Mapping[str, Any]) -> Module:
    package = ".".join(str(part["value"]) for part in parsed["package"]["path"][1:])
    names = tuple(str(rule["head"]["ref"][0]["value"]) for rule in parsed.get("rules") or [])
    line = line_of(text, "package ")
    about = metadata(text.splitlines()[: line - 1])
    return Module(path, line, package, names, about, _divides(parsed.get("rules")))


def _divides(node: object) -> bool:
    """Tell whether a syntax tree holds a division whose divisor could be 0: the compiled rule is silent then."""
    if isinstance(node, Mapping):
        return any(_divides(value) for value in node.values())
    if not isinstance(node, list):
        return False
    if len(node) >= TERMS and _named(node[0]) in DIVISIONS and not _safe(node[2]):
        return True
    return any(_divides(value) for value in node)


def _named(term: object) -> str:
    value = term.get("value") if isinstance(term, Mapping) and term.get("type") == "ref" else None
    return str(value[0].get("value")) if isinstance(value, list) and len(value) == 1 else ""


def _safe(term: object) -> bool:
    return isinstance(term, Mapping) and term.get("type") == "number" and float(str(term.get("value"))) != 0


def metadata(above: Sequence[str]) -> Mapping[str, Any]:
    """Return the last METADATA comment in the lines above a package, every value in it as text; empty without one.

    OPA's check has read it before; `opa inspect` would tell it too, but gives up on two files of one package.
    """
    begins = [n for n, line in enumerate(above) if line.strip() == "# METADATA"]
    if not begins:
        return {}
    rows = takewhile(lambda line: line.startswith("#"), above[begins[-1] + 1 :])
    try:
        about = yaml.load("\n".join(row[1:] for row in rows), Loader=yaml.BaseLoader)  # noqa: S506  (text alone)
    except (yaml.YAMLError, RecursionError):
        return {}
    return about if isinstance(about, dict) and about.get("scope", "package") == "package" else {}
