"""Problems and test results in the formats that other tools read: SARIF 2.1.0, GitHub annotations, JUnit."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from evoguard import __version__
from evoguard.authoring.problem import Problem
from evoguard.domain.canonical import Json

SARIF_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
Case = tuple[str, str, str]
"""Class, name, and why it failed; empty when it did not."""


def from_repository(folder: Path) -> str:
    """Return the folder's path below its repository's root, a slash behind it; empty when there is no repository."""
    whole = folder.resolve()
    root = next((place for place in (whole, *whole.parents) if (place / ".git").exists()), None)
    below = whole.relative_to(root).as_posix() if root is not None else "."
    return "" if below == "." else f"{below}/"


def sarif(problems: Sequence[Problem], prefix: str) -> str:
    """Return a SARIF 2.1.0 log; paths are relative to the root of the repository."""
    rules: list[Json] = [{"id": code} for code in sorted({problem.code for problem in problems})]
    driver: Json = {"name": "evoguard policy lint", "version": __version__, "rules": rules}
    run: Json = {"tool": {"driver": driver}, "results": [_result(problem, prefix) for problem in problems],
                 "originalUriBaseIds": {"ROOT": {"description": {"text": "The root of the repository."}}},
                 "columnKind": "unicodeCodePoints"}  # fmt: skip
    return json.dumps({"$schema": SARIF_SCHEMA, "version": "2.1.0", "runs": [run]}, indent=1)


def _result(problem: Problem, prefix: str) -> Json:
    place: dict[str, Json] = {"artifactLocation": {"uri": _uri(prefix + problem.file), "uriBaseId": "ROOT"}}
    if problem.line:
        place["region"] = {"startLine": problem.line}
    text = f"{problem.msg}. {problem.fix}" if problem.fix else problem.msg
    return {
        "ruleId": problem.code,
        "level": "error",
        "message": {"text": text},
        "locations": [{"physicalLocation": place}],
    }


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path)


def github(problems: Iterable[Problem], prefix: str) -> str:
    """Return a workflow command for each problem, so that a runner shows it at its line."""
    return "\n".join(
        f"::error file={_property(prefix + one.file)},line={max(1, one.line)},title={_property(one.code)}::"
        + _message(f"{one.msg}  → {one.fix}" if one.fix else one.msg)
        for one in problems
    )


def _message(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")


def junit(suite: str, cases: Sequence[Case]) -> str:
    """Return a JUnit document."""
    failures = sum(bool(why) for _, _, why in cases)
    top = Element("testsuites", name=suite, tests=str(len(cases)), failures=str(failures))
    inner = SubElement(top, "testsuite", name=suite, tests=str(len(cases)), failures=str(failures))
    for kind, name, why in cases:
        case = SubElement(inner, "testcase", classname=_xml(kind), name=_xml(name))
        if why:
            SubElement(case, "failure", message=_xml(why)).text = _xml(why)
    indent(top)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + tostring(top, encoding="unicode")


def cases_of(problems: Iterable[Problem], prefix: str) -> list[Case]:
    """Return problems as failed cases; when there is none, one case that passed, for empty proves nothing."""
    found = [(prefix + one.file, f"{one.code}:{one.line}", f"{one}  → {one.fix}") for one in problems]
    return found or [("policy", "lint", "")]


def _xml(text: str) -> str:
    """Return text that XML can hold."""
    return "".join(char if char.isprintable() else " " for char in text)
