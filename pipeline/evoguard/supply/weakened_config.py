"""Settings of test tools that ask for less than before: coverage that may be lower, more that is left out."""

from __future__ import annotations

import configparser
import json
import re
import tomllib
from collections.abc import Iterator, Mapping

from evoguard.supply.types import short

Loosened = tuple[str, int, str]
"""Rule, line, what is looser."""
_NAMES = ("pyproject.toml", "setup.cfg", "tox.ini", "pytest.ini", ".coveragerc", ".pytest.ini", "pytest.toml",
          "package.json", "codecov.yml", ".codecov.yml")  # fmt: skip
_LEAST = ("fail_under", "fail-under", "cov-fail-under", "branches", "functions", "lines", "statements", "target")
_LEFT_OUT = ("omit", "exclude_lines", "exclude_also", "exclude", "norecursedirs", "deselect", "ignore",
             "testPathIgnorePatterns", "coveragePathIgnorePatterns", "collect_ignore", "ignore-glob")  # fmt: skip
_OPTIONS = re.compile(r"--(deselect|ignore|ignore-glob|cov-fail-under|timeout|maxfail)[= ]+(\S+)|\s-(k|m)\s+(\S+)")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_SECTIONS = ("coverage", "pytest", "tool:pytest", "jest", "report", "run", "nyc", "c8", "vitest")
MOST_BYTES = 1 << 20


def loosened(was: str, now: str, old: bytes, new: bytes) -> Iterator[Loosened]:
    """Yield what a test tool's settings file asks less of. A file that is gone asks for nothing."""
    name = (now or was).rpartition("/")[2]
    if name not in _NAMES or max(len(old), len(new)) > MOST_BYTES:
        return
    before, after = _settings(name, old), _settings(name, new)
    text = new.decode("utf-8", "replace")
    for key, value in before.items():
        yield from _asks_less(key, value, after.get(key, ""), text)
    for key, value in after.items():
        yield from _leaves_out(key, before.get(key, ""), value, text)


def _asks_less(key: str, was: str, now: str, text: str) -> Iterator[Loosened]:
    last, given = key.rpartition(".")[2], _number(now)
    least = _number(was) if last in _LEAST else None
    if least is not None and (given is None or given < least):
        yield "tests.lower_coverage", _line(text, last), f"{short(key, 80)}: {least:g} before, {_said(given)} now"
    if last == "addopts" and "--strict" in was and "--strict" not in now:
        yield "tests.less_strict", _line(text, last), f"{short(key, 80)}: --strict is gone"


def _leaves_out(key: str, was: str, now: str, text: str) -> Iterator[Loosened]:
    last = key.rpartition(".")[2]
    more = set(_parts(now)) - set(_parts(was)) if last in _LEFT_OUT else set()
    more |= _options(now) - _options(was) if last in ("addopts", "test") else set()
    if more:
        yield "tests.more_left_out", _line(text, last), f"{short(key, 80)}: {short(', '.join(sorted(more)), 100)}"
    if last == "timeout" and (_number(now) or 0) > (_number(was) or float("inf")):
        yield "tests.longer_timeout", _line(text, last), f"{short(key, 80)}: {short(now, 40)}"


def _settings(name: str, data: bytes) -> Mapping[str, str]:
    """Return settings of test tools as flat texts; what cannot be read has none (its reader tells of the fault)."""
    text = data.decode("utf-8", "replace")
    try:
        if name.endswith(".toml"):
            return dict(_flat(tomllib.loads(text), ""))
        if name.endswith(".json"):
            return dict(_flat(json.loads(text or "{}"), ""))
        if name.endswith(".yml"):
            return dict(re.findall(r"(?m)^\s*(\w+):\s*(\S+)\s*$", text))
        reader = configparser.RawConfigParser(strict=False)
        reader.read_string(text)
        return {
            f"{section}.{key}": value or "" for section in reader.sections() for key, value in reader[section].items()
        }
    except (ValueError, RecursionError, configparser.Error):
        return {}


def _flat(doc: object, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(doc, Mapping):
        for name, value in doc.items():
            yield from _flat(value, f"{key}.{name}" if key else str(name))
    elif isinstance(doc, list):
        yield key, "\n".join(str(one) for one in doc)
    elif any(part in _SECTIONS or part in ("scripts",) for part in key.split(".")):
        yield key, str(doc)


def _parts(value: str) -> list[str]:
    return [part.strip() for part in re.split(r"[\n,]", value) if part.strip()]


def _options(value: str) -> set[str]:
    return {found.group().strip() for found in _OPTIONS.finditer(f" {value}")}


def _number(value: str) -> float | None:
    found = _NUMBER.match(value.strip())
    return float(found.group()) if found and len(found.group()) < 20 else None


def _said(value: float | None) -> str:
    return "nothing" if value is None else f"{value:g}"


def _line(text: str, key: str) -> int:
    at = text.find(key)
    return text.count("\n", 0, at) + 1 if at >= 0 else 1
