"""How an edge starts versions: the table `[start]` of its settings, every value bounded, every unknown key refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from evoguard.domain import tables
from evoguard.errors import InputError

FIX = "evoguard edge --help shows a whole file"
COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?\Z")
_PATH = re.compile(r"/[A-Za-z0-9._~/-]{0,199}\Z")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]{0,63}\Z")
_KEYS = frozenset({
    "command", "commands", "health", "ready_s", "first_uid", "shared_user", "most_processes", "environment",
})  # fmt: skip
UIDS = 64
"""Versions take uids from `first_uid` on in turns, so that the next one does not find the last one's files."""


@dataclass(frozen=True, slots=True)
class StartSettings:
    """One command for every version, and those that are started otherwise. Nothing of the edge's environment passes."""

    command: tuple[str, ...] = ()
    """`{commit}` and `{fd}` are filled in; `{fd}` is the number of a socket that listens already."""
    commands: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    health: str = "/"
    """A GET of it answers 200 before anybody else asks the version."""
    ready_s: float = 10.0
    first_uid: int = 61_200
    shared_user: bool = False
    """Without root every version runs as the edge's user and can read its tokens: that must be said to be wanted."""
    most_processes: int = 128
    environment: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def of(self, commit: str) -> tuple[str, ...]:
        """Return the command of a version, empty when there is none."""
        return self.commands.get(commit, self.command)


def parse_start(doc: object) -> StartSettings:
    """Return the settings of the table. Raises: InputError `edge.settings`."""
    if not isinstance(doc, dict):
        raise _bad("start is a table")
    if unknown := sorted(set(doc) - _KEYS):
        raise _bad(f"unknown key {str(unknown[0])[:40]!r}")
    commands = doc.get("commands", {})
    if not isinstance(commands, dict) or len(commands) > 100 or not all(COMMIT.match(key) for key in commands):
        raise _bad("commands is a table of at most 100 commits and their commands")
    found = StartSettings(
        command=_command(doc["command"]) if "command" in doc else (),
        commands={key: _command(value) for key, value in commands.items()},
        health=_health(doc.get("health", "/")),
        ready_s=_number(doc.get("ready_s", 10.0), "ready_s", 0.1, 300),
        first_uid=int(_number(doc.get("first_uid", 61_200), "first_uid", 1_000, 2_000_000_000)),
        shared_user=doc.get("shared_user", False) is True,
        most_processes=int(_number(doc.get("most_processes", 128), "most_processes", 2, 10_000)),
        environment=_environment(doc.get("environment", {})),
    )
    if not found.command and not found.commands:
        raise _bad("command or commands is missing")
    return found


def _command(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= 100:
        raise _bad("a command is a list of 1 to 100 words")
    if not all(isinstance(word, str) and 0 < len(word) <= 4_096 and "\0" not in word for word in value):
        raise _bad("a word of a command is a text of 1 to 4096 characters")
    if not value[0].startswith("/"):
        raise _bad("a command begins with an absolute path")
    if not any("{fd}" in word for word in value):
        raise _bad("a command has {fd}, the socket that the version listens on")
    return tuple(value)


def _health(value: object) -> str:
    if not isinstance(value, str) or not _PATH.match(value):
        raise _bad("health is a plain path such as /healthz")
    return value


def _environment(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or len(value) > 100:
        raise _bad("environment is a table of at most 100 variables")
    for key, text in value.items():
        if key.startswith("LD_"):  # it would be loaded before the rights are given up
            raise _bad("no LD_ variable is handed over")
        if not _VARIABLE.match(key) or not isinstance(text, str) or len(text) > 4_096 or "\0" in text:
            raise _bad("environment has NAMES and texts of at most 4096 characters")
    return dict(value)


def _number(value: object, key: str, least: float, most: float) -> float:
    return tables.number(value, key, least, most, _bad)


def _bad(message: str) -> InputError:
    return InputError(f"edge settings: [start]: {message}", code="edge.settings", fix=FIX)
