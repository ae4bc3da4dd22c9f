"""What a scanner says of a change: what is new in it, and what could not be read. Old faults are the base's affair."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evoguard.domain.canonical import Json

Severity = Literal["error", "warning", "info"]
Standing = Literal["complete", "incomplete", "not run"]
LANGUAGES: Mapping[str, tuple[tuple[str, ...], str, str]] = {
    "python": ((".py", ".pyi", ".pyw", ".pth", ".wsgi"), "{name}()\n", "{name}(...)"),
    "javascript": ((".js", ".jsx", ".mjs", ".cjs"), "{name}();\n", "{name}(...)"),
    "typescript": ((".ts", ".tsx", ".mts", ".cts"), "{name}();\n", "{name}(...)"),
    "bash": ((".sh", ".bash", ".zsh", ".ksh"), "{name}\n", "{name}"),
    "yaml": ((".yml", ".yaml"), "{name}: 1\n", "{name}: ..."),
    "go": ((".go",), "package a\nfunc b() {{ {name}() }}\n", "{name}(...)"),
    "regex": ((".mk", ".mak", ".dockerfile", ".containerfile"), "{name}\n", "{name}"),
}
"""Language → its files' endings, the text of the made-up fault, the pattern that must find it.

`regex`: Makefiles, Dockerfiles and their like, read by lines alone; their rules name `*.mk`, as they are laid out.
"""
SEVERITIES: Mapping[str, Severity] = {"ERROR": "error", "WARNING": "warning", "INFO": "info"}
"""How bad a rule says that its fault is → how bad a hit of it is."""
MOST_HITS = 200
"""Of so many new hits each is listed; what is beyond them is counted, and refused as too much to read."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One place that a rule matched. `text` is the matched code with its white space folded."""

    rule: str
    severity: Severity
    path: str
    line: int
    msg: str
    text: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return the hit as plain JSON, without the code itself: that is in the tree."""
        return {"rule": self.rule, "severity": self.severity, "path": self.path, "line": self.line, "msg": self.msg}


@dataclass(frozen=True, slots=True)
class Scan:
    """One look at the changed files. Only `complete` says anything; every file that was not read is named."""

    status: Standing
    tool: str
    rules: str
    """The digest of the rules that were looked for."""
    asked: int
    """Changed files of a kind that the rules know; `read`: how many of them were read whole."""
    read: int
    new: tuple[Hit, ...] = ()
    known: int = 0
    """Hits that the base has as well."""
    unread: tuple[str, ...] = ()
    why: str = ""
    isolation: str = ""
    wall_ms: int = 0

    def as_json(self) -> dict[str, Json]:
        """Return the scan as plain JSON, the form that is stored and named by digest."""
        return {
            "status": self.status,
            "tool": self.tool,
            "rules": self.rules,
            "asked": self.asked,
            "read": self.read,
            "new": [hit.as_json() for hit in self.new[:MOST_HITS]],
            "omitted": max(0, len(self.new) - MOST_HITS),
            "known": self.known,
            "unread": list(self.unread),
            "why": self.why,
            "isolation": self.isolation,
            "wall_ms": self.wall_ms,
        }


NOT_RUN: Mapping[str, Json] = Scan("not run", "", "", 0, 0, why="checked before scans were made").as_json()
"""What stands for a scan where there is none."""


def new_hits(base: Iterable[Hit], head: Sequence[Hit], renamed: Mapping[str, str]) -> tuple[Hit, ...]:
    """Return the hits of `head` that `base` does not have. `renamed`: path at the base → path now.

    Compared by rule, file and matched code, as multisets: what only moved is old, a further copy of it is new.
    """
    left: dict[tuple[str, str, str], int] = defaultdict(int)
    for hit in base:
        left[hit.rule, renamed.get(hit.path, hit.path), hit.text] += 1
    fresh = []
    for hit in sorted(head, key=lambda h: (h.path, h.line, h.rule)):
        key = (hit.rule, hit.path, hit.text)
        if left[key]:
            left[key] -= 1
        else:
            fresh.append(hit)
    return tuple(fresh)
