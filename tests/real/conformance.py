"""OPA's own published cases, made ready to be asked of two engines: which ones, and why the others are left out.

They come with the Go module of OPA, at the pinned version, by the hash of its lock. A case's package gets a name of its
own, so that one compilation and one server hold many.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # the package has no types of its own

from evoguard.adapters import go_tools
from evoguard.authoring import folder
from evoguard.authoring.opa import Opa

ONE_REF = re.compile(r"data\.(\w+)\.(\w+) = \w+")
PACKAGE = re.compile(r"^package (\w+)$", re.MULTILINE)
PARSED = (
    "{name: names | some name, text in input.texts; module := rego.parse_module(name, text)"
    '; names := [op | walk(module, [_, term]); op := concat(".", [part.value | some part in term.value])'
    '; term.type == "ref"; every part in term.value { is_string(part.value) }]}'
)


@dataclass(frozen=True, slots=True)
class Case:
    """One case: its name, the entry point, the module under its own package, data and input as JSON."""

    note: str
    package: str
    rule: str
    module: str
    data: Mapping[str, Any]
    question: bytes
    silent: bool
    """Whether a builtin's error is wanted: strictly asked there is no answer, and no engine may give a value."""

    @property
    def entry(self) -> str:
        return f"{self.package}/{self.rule}"


@dataclass(slots=True)
class Drawn:
    """The cases that can be asked, and how many were left out for each reason."""

    cases: list[Case] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)

    def drop(self, names: set[str], why: str) -> None:
        """Leave out the cases with these packages."""
        self.left_out[why] += sum(case.package in names for case in self.cases)
        self.cases = [case for case in self.cases if case.package not in names]


def published() -> Iterator[dict[str, Any]]:
    """Yield every published case for Rego v1."""
    home = go_tools.sources(go_tools.named("opa")) / "v1" / "test" / "cases" / "testdata" / "v1"
    for path in sorted(home.rglob("*.yaml")):
        yield from yaml.load(path.read_bytes(), Loader=yaml.CSafeLoader)["cases"]


def drawn(opa: Opa, allowed: set[str]) -> Drawn:
    """Return the cases whose builtins are all among `allowed`, and that both engines can be asked."""
    found = Drawn()
    for n, row in enumerate(published()):
        case = _case(n, row)
        if isinstance(case, str):
            found.left_out[case] += 1
        else:
            found.cases.append(case)
    _keep_allowed(opa, found, allowed)
    _keep_compiling(opa, found)
    return found


def _case(n: int, row: Mapping[str, Any]) -> Case | str:
    """Return the case, or why it is left out."""
    asked, modules = ONE_REF.fullmatch(row["query"]), row.get("modules") or []
    if asked is None:
        return "the query is not one rule of one package"
    if len(modules) != 1:
        return "several modules, or none"
    named = PACKAGE.search(modules[0])
    if named is None or named[1] != asked[1]:
        return "the query is of another package than the module"
    wanted = bool(row.get("want_error_code") or row.get("want_error"))
    if wanted and not row.get("strict_error"):
        return "an error of the compiler, or a conflict, is wanted"
    if f'data["{named[1]}"]' in modules[0] or row.get("env"):
        return "the package is named in another way"
    return _made(n, row, modules[0], named[1], silent=wanted)


def _made(n: int, row: Mapping[str, Any], module: str, name: str, *, silent: bool) -> Case | str:
    package = f"case_{n}"
    own = re.sub(rf"\bdata\.{name}\b", f"data.{package}", PACKAGE.sub(f"package {package}", module, count=1))
    data = row.get("data") or {}
    if name in data or "rego.metadata" in module:
        return "data stands under the package's own name"
    try:
        term = row.get("input_term")
        given = json.loads(term) if term is not None else row.get("input")
        question = json.dumps(given).encode() if term is not None or "input" in row else b""
        json.dumps(data)
    except (TypeError, ValueError):
        return "the input or the data is no JSON"
    return Case(row["note"], package, ONE_REF.fullmatch(row["query"])[2], own, data, question, silent)  # type: ignore[index]  # matched above


def _keep_allowed(opa: Opa, found: Drawn, allowed: set[str]) -> None:
    """Leave out cases that OPA does not parse by themselves, and those that name a builtin that rules may not use."""
    known = {str(one["name"]) for one in opa.json("capabilities", "--current")["builtins"]}
    parsed: dict[str, list[str]] = {}
    for case in found.cases:
        parsed |= _parsed(opa, [case]) if "rego." in case.module else {}
    plain = [case for case in found.cases if "rego." not in case.module]
    parsed |= _parsed(opa, plain)
    found.drop({case.package for case in found.cases} - parsed.keys(), "OPA does not parse it by itself")
    others = {name for name, ops in parsed.items() if ({*ops} & known) - allowed}
    found.drop(others, "a builtin that rules may not use")


def _parsed(opa: Opa, cases: list[Case]) -> dict[str, list[str]]:
    texts = {case.package: case.module for case in cases}
    told = opa.json("eval", "-f", "json", "-I", PARSED, stdin=json.dumps({"texts": texts}).encode())
    return dict(told["result"][0]["expressions"][0]["value"]) if told.get("result") else {}


def _keep_compiling(opa: Opa, found: Drawn) -> None:
    """Leave out what the compiler refuses with the capabilities that rules have."""
    for case in found.cases:
        (opa.home / f"{case.package}.rego").write_text(case.module, encoding="utf-8")
    while True:
        files = [f"{case.package}.rego" for case in found.cases]
        done = opa.ask("check", "--format", "json", "--max-errors", "10000", "--capabilities", folder.CAPABILITIES,
                       *files)  # fmt: skip
        if not done.returncode:
            return
        errors = json.loads(done.stderr or done.stdout)["errors"]
        found.drop({Path(one["location"]["file"]).stem for one in errors}, "the compiler refuses it")
