"""The scanner's rules of policies/semgrep as one JSON document, refused when a rule is not whole or has no test."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any

import yaml  # type: ignore[import-untyped]  # the package has no types of its own

from evoguard.authoring.problem import Problem, line_of, refuse
from evoguard.domain.canonical import Json, canonical
from evoguard.domain.scan import LANGUAGES, SEVERITIES

ID = re.compile(r"[a-z]+\.[a-z_]+")
MARK = re.compile(r"^\s*(?:#|//) ruleid: (.+)$")
NEED = re.compile(r"ALT(\|ALT)*".replace("ALT", r"(\w|\\d|\[\w+\]|\{\d\}|_\?)+(\.\*)?"))
"""A pattern of words: what repeats without end stands last, so that no word keeps it busy."""
_NAMED = re.compile(r"^\s*-\s+id:\s*(\S+)", re.MULTILINE)
"""Also of rules that are not whole: what is wrong with them is said, not that a test expects them."""
NEEDED = {"id", "languages", "severity", "message", "metadata"}
_CODE = "policy.scan_rule"
_FIX = "see policies/README.md, Add a scan rule"


def scan_rules(texts: Mapping[str, str]) -> bytes:
    """Return every rule in the sources (path → text), sorted. Raises: InputError naming the rule that is not whole."""
    rules, problems = examine(texts)
    refuse(problems)
    ordered: list[Json] = [*sorted(rules, key=lambda rule: str(rule["id"]))]
    return canonical({"rules": ordered})


def examine(texts: Mapping[str, str]) -> tuple[list[dict[str, Any]], list[Problem]]:
    """Return the rules that are whole, and what is wrong with the others."""
    rules: list[dict[str, Any]] = []
    problems: list[Problem] = []
    at: dict[str, tuple[str, int]] = {}
    for path in sorted(path for path in texts if PurePosixPath(path).match("semgrep/*/rules.yml")):
        found, wrong = _read(path, texts[path])
        problems += wrong
        for rule in found:
            place = (path, line_of(texts[path], f"- id: {rule['id']}"))
            if rule["id"] in at:
                problems.append(Problem(*place, _CODE, f"two rules of one name: {rule['id']}", "rename one of them"))
            at.setdefault(str(rule["id"]), place)
        rules += found
    tested = {name: (path, line - 1) for path in marked_files(texts) for line, name in sorted(expected(texts[path]))}
    for name in sorted(at.keys() - tested.keys()):
        fix = f"write `# ruleid: {name}` above a line it must find"
        problems.append(Problem(*at[name], _CODE, f"no test expects {name}", fix))
    named = {name for path, text in texts.items() if path.endswith("/rules.yml") for name in _NAMED.findall(text)}
    for name in sorted(tested.keys() - at.keys() - named):
        problems.append(Problem(*tested[name], _CODE, f"a test expects {name}, which no rule is called", _FIX))
    return rules, problems


def marked_files(texts: Mapping[str, str]) -> list[str]:
    """Return the paths of the files that hold lines which rules must find."""
    return sorted(path for path in texts if PurePosixPath(path).match("semgrep/*/test.*"))


def expected(text: str) -> set[tuple[int, str]]:
    """Return (line, rule) of everything that must be found in a test's text: the line below each mark."""
    found = set()
    for number, line in enumerate(text.splitlines(), 1):
        if mark := MARK.match(line):
            found |= {(number + 1, rule.strip()) for rule in mark.group(1).split(",")}
    return found


def _read(path: str, text: str) -> tuple[list[dict[str, Any]], list[Problem]]:
    try:
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, Loader=yaml.SafeLoader)):
            return [], [Problem(path, 1, _CODE, "it has an alias (`*name`), which can stand for endless text", _FIX)]
        doc = yaml.safe_load(text)
    except yaml.YAMLError as err:
        mark = getattr(err, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        return [], [Problem(path, line, _CODE, "it is not YAML", "mend the file")]
    except RecursionError:
        return [], [Problem(path, 1, _CODE, "it is nested too deep", "mend the file")]
    rows = doc.get("rules") if isinstance(doc, dict) else None
    if not isinstance(rows, list):
        return [], [Problem(path, 1, _CODE, "it has no list `rules`", _FIX)]
    wrong = [(rule, _wrong(rule)) for rule in rows]
    problems = [
        Problem(path, line_of(text, f"- id: {_name(rule)}"), _CODE, f"{_name(rule)}: {why}", _FIX)
        for rule, why in wrong
        if why
    ]
    return [rule for rule, why in wrong if not why], problems


def _name(rule: object) -> str:
    return str(rule.get("id", "a rule"))[:80] if isinstance(rule, dict) else "a rule"


def _wrong(rule: object) -> str:
    if not isinstance(rule, dict) or not isinstance(rule.get("metadata", {}), dict):
        return "it is not a table, or its metadata is none"
    if missing := sorted(NEEDED - rule.keys()):
        return f"it has no {', '.join(missing)}"
    if not ID.fullmatch(str(rule["id"])) or str(rule["severity"]) not in SEVERITIES:
        return f"an id reads area.name, a severity is one of {', '.join(sorted(SEVERITIES))}"
    languages = rule["languages"]
    if not isinstance(languages, list) or not {str(name) for name in languages} <= LANGUAGES.keys():
        return f"languages are of {', '.join(sorted(LANGUAGES))}; others are not laid out for the scanner"
    if not _plain(rule):
        return "it holds something that JSON does not have, such as a date or a fraction"
    return _metadata_wrong(rule)


def _metadata_wrong(rule: Mapping[str, Any]) -> str:
    """Return what is wrong with a rule's metadata; what `needs` lists is matched against words, linear by its form."""
    if not rule["metadata"].get("source"):
        return "metadata.source says why it is a rule"
    needs = rule["metadata"].get("needs", [])
    if not isinstance(needs, list) or not all(isinstance(each, str) and NEED.fullmatch(each) for each in needs):
        return r"metadata.needs is a list of patterns of words: \w, \d, [12], {n}, _? and a last .*, parted by |"
    return "metadata.needs takes the place of paths" if needs and "paths" in rule else ""


def _plain(value: object) -> bool:
    """Tell whether canonical JSON can say a value."""
    try:
        canonical(value)  # type: ignore[arg-type]  # asked because it may be anything that YAML makes
    except (TypeError, ValueError, RecursionError):
        return False
    return True
