"""Semgrep over the changed files of base and candidate, in one sandbox; what is new in the candidate counts.

Files are laid out under neutral names, so that no name, folder or ignore file decides what is looked at. In every run
a made-up fault must be found in each language: silence of an engine that looked for nothing is no scan.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from evoguard.adapters.scanners import engine
from evoguard.adapters.scanners.needed import narrowed
from evoguard.domain.canonical import Json, digest_of
from evoguard.domain.scan import LANGUAGES, SEVERITIES, Hit, Scan, Standing, new_hits
from evoguard.ports.forge import Blob
from evoguard_sandbox import Job, JobReport, Limits

Laid = dict[str, tuple[int, bytes]]
Run = Callable[[Job, Limits], Awaitable[JobReport]]
MOST_FILES, MOST_BYTES = 2_000, 24 << 20
MOST_UNREAD, WHY_CHARS = 50, 300
DIALECTS = (".jsx", ".tsx")
NAMES = {name: "bash" for name in (".envrc", ".bashrc", ".bash_profile", ".profile", ".zshrc", ".zshenv")}
"""Files that a shell reads though their names have no ending."""
BUILDS = re.compile(
    r"(gnu)?makefile|(dockerfile|containerfile|makefile)(\..*)?|jenkinsfile|justfile|procfile|vagrantfile"
)
"""Files that build, read by lines: none of the engine's languages is theirs."""
PROGRAMS = {
    **dict.fromkeys(("python", "pypy", "uv"), "python"),
    **dict.fromkeys(("node", "deno", "bun"), "javascript"),
    **dict.fromkeys(("sh", "bash", "dash", "zsh", "ksh", "ash"), "bash"),
}
"""How the name of a program begins that the first line of a script names."""
_SUFFIX = {suffix: name for name, (suffixes, _, _) in LANGUAGES.items() for suffix in suffixes}
_CANARY = "evoguard.canary"


class Semgrep:
    """The scanner. `run` starts a job in the sandbox; `rules` is semgrep's configuration, part of the policy bundle."""

    def __init__(self, run: Run, layer: Path, rules: bytes) -> None:
        self._run, self._layer = run, layer
        self._rules: list[dict[str, Json]] = json.loads(rules)["rules"]
        self._digest = digest_of(rules)

    async def scan(
        self, base: Mapping[str, Blob], candidate: Mapping[str, Blob], changed: Sequence[tuple[str, str]]
    ) -> Scan:
        """Return what is new in the changed files. Raises: UnavailableError, IntegrityError when the engine is another.

        A scan is whole or not at all: too much to read, an engine that ended otherwise or saw no made-up fault.
        """
        began = time.monotonic()
        asked = _asked(base, candidate, changed)
        if not asked.head:
            return self._scan("complete", asked)
        if len(asked.files) > MOST_FILES or sum(len(blob.data) for blob in asked.files.values()) > MOST_BYTES:
            return self._scan(
                "incomplete", asked, why=f"more than {MOST_FILES} files or {MOST_BYTES >> 20} MiB to read"
            )
        await asyncio.to_thread(engine.verify, self._layer)
        name = f"evoguard_{secrets.token_hex(12)}"
        files, rules, faults = _with_faults(asked, name, self._rules)
        report = await self._run(engine.job(self._layer, files, rules, asked.trees), engine.LIMITS)
        doc = engine.told(report.stdout) if report.outcome == "finished" and report.exit_status == 0 else None
        if doc is None:
            return self._scan("incomplete", asked, why=_ended(report), report=report)
        return self._read(asked, doc, faults, report, round((time.monotonic() - began) * 1000))

    def _read(
        self, asked: _Asked, doc: Mapping[str, Json], faults: frozenset[str], report: JobReport, wall_ms: int
    ) -> Scan:
        hits = [_hit(asked, row, faults) for row in _rows(doc.get("results"))]
        missed = faults - {path for path, hit in hits if hit is None}
        if missed:
            return self._scan("incomplete", asked, why="the engine missed what was put there for it", report=report)
        found = [(path, hit) for path, hit in hits if hit is not None]
        base = [hit for path, hit in found if path.startswith("base/")]
        head = [hit for path, hit in found if path.startswith("head/")]
        unread = _unread(asked, doc)
        renamed = {old: new for old, new in asked.pairs if old}
        kept = tuple(sorted(asked.head[place] for place in unread))
        return Scan(
            "complete", engine.NAME, self._digest, len(asked.head), len(asked.head) - len(kept),
            new_hits(base, head, renamed), len(base), _named(kept), isolation=report.isolation, wall_ms=wall_ms,
        )  # fmt: skip

    def _scan(self, status: Standing, asked: _Asked, *, why: str = "", report: JobReport | None = None) -> Scan:
        return Scan(
            status, engine.NAME, self._digest, len(asked.head), 0, why=why, unread=_named(sorted(asked.head.values())),
            isolation=report.isolation if report is not None else "", wall_ms=report.wall_ms if report else 0,
        )  # fmt: skip


class _Asked:
    """The files of both sides under neutral names; `head` and `base` say which file stands at a place."""

    def __init__(self) -> None:
        self.files: dict[str, Blob] = {}
        self.head: dict[str, str] = {}
        self.base: dict[str, str] = {}
        self.pairs: list[tuple[str, str]] = []
        self.spoken: set[str] = set()
        """The languages of the files of `head`."""

    @property
    def trees(self) -> tuple[str, ...]:
        """The folders to scan."""
        return ("head", "base") if self.base else ("head",)


def _asked(base: Mapping[str, Blob], candidate: Mapping[str, Blob], changed: Sequence[tuple[str, str]]) -> _Asked:
    asked = _Asked()
    for at, (old, new) in enumerate(changed):
        if (language := language_of(new, candidate.get(new))) is None:
            continue
        asked.pairs.append((old, new))
        asked.spoken.add(language)
        place = f"head/{at}/{_neutral(new, language)}"
        asked.head[place], asked.files[place] = new, candidate[new]
        if (language := language_of(old, base.get(old))) is not None:
            place = f"base/{at}/{_neutral(old, language)}"
            asked.base[place], asked.files[place] = old, base[old]
    return asked


def language_of(path: str, blob: Blob | None) -> str | None:
    """Return the language that a file is read as, by its name or, without an ending, by its first line."""
    if blob is None or blob.mode not in ("100644", "100755"):
        return None
    name = PurePosixPath(path).name.lower()
    known = "regex" if BUILDS.fullmatch(name) else _SUFFIX.get(PurePosixPath(name).suffix) or NAMES.get(name)
    return known or (_interpreted(blob.data[:400]) if blob.data.startswith(b"#!") else None)


def _interpreted(start: bytes) -> str | None:
    """Return the language of the program that a script's first line names, as the kernel and `env` read it."""
    words = start.partition(b"\n")[0][2:].decode("utf-8", "replace").split()
    if words and words[0].rpartition("/")[2] == "env":
        words = [word for word in words[1:] if not word.startswith("-") and "=" not in word]
    program = words[0].rpartition("/")[2] if words else ""
    return next((language for start, language in PROGRAMS.items() if program.startswith(start)), None)


def _neutral(path: str, language: str) -> str:
    """Return a name that means nothing but the language, with an ending that the engine knows."""
    suffix = PurePosixPath(path).suffix.lower()
    return f"file{suffix if suffix in DIALECTS else LANGUAGES[language][0][0]}"


def _with_faults(asked: _Asked, name: str, rules: Sequence[Mapping[str, Json]]) -> tuple[Laid, bytes, frozenset[str]]:
    """Return the files with a made-up fault of each language, the rules that must find them, and where they are."""
    files = {place: (0o100644, blob.data) for place, blob in asked.files.items()}
    listed = narrowed(rules, {place: blob.data for place, blob in asked.files.items()})
    faults = set()
    for language in sorted(asked.spoken):
        suffixes, text, pattern = LANGUAGES[language]
        place = f"head/{name}/{name}{suffixes[0]}"
        files[place] = (0o100644, text.format(name=name).encode())
        faults.add(place)
        how = "pattern-regex" if language == "regex" else "pattern"
        listed.append({"id": f"{_CANARY}.{language}", "languages": [language], "severity": "INFO", "message": "seen",
                       how: pattern.format(name=name)})  # fmt: skip
    return files, json.dumps({"rules": listed}).encode(), frozenset(faults)


def _hit(asked: _Asked, row: Mapping[str, Json], faults: frozenset[str]) -> tuple[str, Hit | None]:
    """Return where a rule matched and the hit; none for the made-up fault."""
    place, rule = str(row.get("path")), str(row.get("check_id"))
    if place in faults and rule.startswith(_CANARY):
        return place, None
    start, end, extra = (_doc(row.get(name)) for name in ("start", "end", "extra"))
    path = asked.head.get(place) or asked.base.get(place, place)
    first, last = _whole(start.get("line")), _whole(end.get("line"))
    lines = asked.files[place].data.split(b"\n")[max(0, first - 1) : last] if place in asked.files else []
    text = " ".join(b"\n".join(lines).decode("utf-8", "replace").split())
    severity = SEVERITIES.get(str(extra.get("severity")), "error")
    return place, Hit(rule, severity, path, first, str(extra.get("message", ""))[:WHY_CHARS], text)


def _unread(asked: _Asked, doc: Mapping[str, Json]) -> set[str]:
    """Return the places of the candidate that were not read whole: not scanned at all, or with an error in between."""
    listed = _doc(doc.get("paths")).get("scanned")
    seen = {str(place) for place in listed} if isinstance(listed, list) else set()
    wrong = {place for error in _rows(doc.get("errors")) for place in _places(error)}
    return {place for place in asked.head if place not in seen or place in wrong}


def _places(error: Mapping[str, Json]) -> set[str]:
    """Return every file that an error names."""
    spans = [str(span.get("file") or span.get("path")) for span in _rows(error.get("spans"))]
    return {str(error.get("path")), *spans}


def _named(paths: Sequence[str]) -> tuple[str, ...]:
    more = len(paths) - MOST_UNREAD
    return (*paths[:MOST_UNREAD], *([f"and {more} more"] if more > 0 else []))


def _ended(report: JobReport) -> str:
    said = report.stderr.decode("utf-8", "replace").strip().splitlines()
    first = report.findings[0].msg if report.findings else (said[-1] if said else "")
    return f"the engine {report.outcome}, exit status {report.exit_status}: {first}"[:WHY_CHARS]


def _rows(value: Json) -> list[Mapping[str, Json]]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _doc(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _whole(value: Json) -> int:
    return value if isinstance(value, int) else 0
