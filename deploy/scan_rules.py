"""The scanner's rules of policies/semgrep as one JSON document, refused when a rule is not whole or has no test."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from evoguard.adapters.scanners.semgrep import LANGUAGES, SEVERITIES
from evoguard.domain.canonical import canonical

ID = re.compile(r"[a-z]+\.[a-z_]+")
MARK = re.compile(r"^\s*(?:#|//) ruleid: (.+)$")
NEEDED = {"id", "languages", "severity", "message", "metadata"}


def scan_rules(folder: Path) -> bytes:
    """Return every rule below the folder, sorted. Raises: SystemExit naming the rule that is not whole."""
    rules = [rule for path in sorted(folder.glob("*/rules.yml")) for rule in _read(path)]
    ids = [rule["id"] for rule in rules]
    if len(set(ids)) != len(ids):
        raise SystemExit(f"semgrep: two rules of one name: {sorted(i for i in ids if ids.count(i) > 1)[0]}")
    tested = {rule for path in marked_files(folder) for _, rule in expected(path)}
    if untested := sorted({*ids} - tested):
        raise SystemExit(
            f"semgrep: no test expects {', '.join(untested)}; write `# ruleid: …` above a line it must find"
        )
    if unknown := sorted(tested - {*ids}):
        raise SystemExit(f"semgrep: a test expects {', '.join(unknown)}, which no rule is called")
    return canonical({"rules": sorted(rules, key=lambda rule: str(rule["id"]))})


def marked_files(folder: Path) -> list[Path]:
    """Return the files that hold lines which rules must find."""
    return sorted(folder.glob("*/test.*"))


def expected(path: Path) -> set[tuple[int, str]]:
    """Return (line, rule) of everything that must be found in a test's file: the line below each mark."""
    found = set()
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if mark := MARK.match(line):
            found |= {(number + 1, rule.strip()) for rule in mark.group(1).split(",")}
    return found


def _read(path: Path) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = yaml.safe_load(path.read_text())["rules"]
    for rule in rules:
        if wrong := _wrong(rule):
            raise SystemExit(f"semgrep/{path.parent.name}/rules.yml: {rule.get('id', 'a rule')}: {wrong}")
    return rules


def _wrong(rule: dict[str, Any]) -> str:
    if missing := sorted(NEEDED - rule.keys()):
        return f"it has no {', '.join(missing)}"
    if not ID.fullmatch(str(rule["id"])) or rule["severity"] not in SEVERITIES:
        return f"an id reads area.name, a severity is one of {sorted(SEVERITIES)}"
    if not {*rule["languages"]} <= LANGUAGES.keys():
        return f"languages are of {sorted(LANGUAGES)}; others are not laid out for the scanner"
    return "" if rule["metadata"].get("source") else "metadata.source says why it is a rule"
