"""What differs between base and candidate on the same requests. Whether a difference refuses is the policies' word.

An answer counts as the same only when both rounds of both sides gave it, whole. What cannot be compared is a finding.
Source: docs/adr/0019-before-one-percent.md
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from unicodedata import normalize

from evoguard.domain.canonical import Json
from evoguard.domain.cases import ANY_SLOWER, Case, Declared

Status = Literal["complete", "incomplete", "none", "not run"]
CODES = (
    "regression.not_run", "regression.pinned", "regression.error", "regression.effect", "regression.answer",
    "regression.stale", "regression.unstable", "regression.time",
)  # fmt: skip
"""In the order in which they are told."""
MOST_FINDINGS, MOST_ROWS, SLACK_US, SHOWN, PART_CHARS = 100, 1000, 100_000, 120, 4000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came of one request, as that side says it. Times in microseconds; `refused`: effects that were refused."""

    kind: str
    parts: Mapping[str, str]
    wall_us: int = 0
    cpu_us: int = 0
    refused: int = 0

    @property
    def error(self) -> bool:
        """Tell whether it is an error: nothing came back, something was raised, or a status from 500."""
        return self.kind in ("hung", "died") or "raised" in self.parts or self.parts.get("status", "").startswith("5")

    @property
    def words(self) -> str:
        """The answer in a few words."""
        if self.kind != "answer":
            return {"hung": "no answer in time", "died": "the process ended"}.get(self.kind, self.kind)
        if "raised" in self.parts:
            return plain(f"raised {self.parts['raised']}")
        status = self.parts.get("status", "")
        return plain(f"{status} {self.parts.get('value', self.parts.get('body', ''))}".strip())


@dataclass(frozen=True, slots=True)
class Answers:
    """One side's answers to one component's cases by round, or why there are none."""

    rounds: tuple[tuple[Answer, ...], ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One finding about one case; an empty `case` is about them all."""

    code: str
    component: str
    case: str
    msg: str

    def as_json(self) -> dict[str, Json]:
        """Return it as policies read it."""
        return {"code": self.code, "component": self.component, "case": self.case, "msg": self.msg}


@dataclass(frozen=True, slots=True)
class Row:
    """One case beside its answers: the least time of both rounds, microseconds."""

    component: str
    case: str
    code: str
    was: Answer | None = None
    now: Answer | None = None

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        told: dict[str, Json] = {"component": self.component, "case": self.case, "code": self.code}
        for name, one in (("base", self.was), ("candidate", self.now)):
            told[name] = {"answer": one.words, "wall_us": one.wall_us, "cpu_us": one.cpu_us, "refused": one.refused} \
                if one is not None else None  # fmt: skip
        return told


@dataclass(frozen=True, slots=True)
class Regression:
    """The outcome of all cases. `complete` only when each was answered by both sides; `none`: none are declared."""

    status: Status
    asked: int = 0
    answered: int = 0
    findings: tuple[Difference, ...] = ()
    rows: tuple[Row, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Digest of each component's case file."""
    isolation: str = ""
    behaviour: str = ""
    """How whole the record of the candidate's attempts to reach out is, as it was taken outside the guest."""
    wall_ms: int = 0

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON, bounded; `omitted` counts the findings that are not listed."""
        told = sorted(self.findings, key=lambda one: (_rank(one.code), one.component, one.case, one.msg))
        return {
            "status": self.status, "asked": self.asked, "answered": self.answered,
            "findings": [one.as_json() for one in told[:MOST_FINDINGS]], "omitted": max(0, len(told) - MOST_FINDINGS),
            "rows": [row.as_json() for row in self.rows[:MOST_ROWS]], "files": dict(self.files),
            "isolation": self.isolation, "behaviour": self.behaviour, "wall_ms": self.wall_ms,
        }  # fmt: skip


def plain(text: str, most: int = SHOWN) -> str:
    """Return a bounded text that every reader of a question reads alike, whatever code under test wrote."""
    return normalize("NFC", "".join(c if c.isprintable() else "?" for c in text[:most]))


NONE: Mapping[str, Json] = Regression("none").as_json()
NOT_RUN: Mapping[str, Json] = Regression("not run").as_json()


def _rank(code: str) -> int:
    return CODES.index(code) if code in CODES else 0


def compare(declared: Declared, cases: Sequence[Case], base: Answers, candidate: Answers) -> tuple[Row, ...]:
    """Return one row a case; its `code` is the worst that was found, empty when both sides answered the same."""
    return tuple(_row(declared, case, base, candidate, n) for n, case in enumerate(cases))


def findings(declared: Declared, rows: Sequence[Row], base: Answers, candidate: Answers) -> tuple[Difference, ...]:
    """Return a finding for each row that differs; where a whole side is missing one says it for all."""
    for name, side in (("base", base), ("candidate", candidate)):
        if side.why:
            text = plain(f"the {name} answered no case: {side.why}", 400)
            return (Difference("regression.not_run", declared.component, "", text),)
    return tuple(Difference(r.code, r.component, r.case, _words(r)) for r in rows if r.code)


def _words(row: Row) -> str:
    if row.was is None or row.now is None:
        return "a side's answer is missing"
    if row.code == "regression.time":
        return f"took {row.was.wall_us / 1000:.0f} ms, takes {row.now.wall_us / 1000:.0f} ms"
    if row.code == "regression.effect":
        return f"{row.was.refused} effects were refused, {row.now.refused} are"
    return f"was {row.was.words}, is {row.now.words}"


def _row(declared: Declared, case: Case, base: Answers, candidate: Answers, n: int) -> Row:
    was, now = ([rows[n] for rows in side.rounds if n < len(rows)] for side in (base, candidate))
    if len(was) < 2 or len(now) < 2:
        return Row(declared.component, case.name, "regression.not_run")
    # Of the rounds the one is shown that differs from the base's first, and the faster one's time counts.
    other = next((one for one in now if one.parts != was[0].parts or one.kind != was[0].kind), now[0])
    shown = (_fastest(was[0], was), _fastest(other, now))
    return Row(declared.component, case.name, _code(declared, case, was, now), *shown)


def _fastest(one: Answer, rounds: Sequence[Answer]) -> Answer:
    return Answer(one.kind, one.parts, min(r.wall_us for r in rounds), min(r.cpu_us for r in rounds), one.refused)


def _code(declared: Declared, case: Case, was: Sequence[Answer], now: Sequence[Answer]) -> str:
    """Return the worst code of a case, or an empty text."""
    unasked = any(one.kind != "answer" for one in was) or any(one.kind in ("unrun", "unreadable") for one in now)
    broken = any(one.error for one in now) and not any(one.error for one in was)
    stale = not _is_pinned(case, was)
    said = {(json.dumps(dict(one.parts), sort_keys=True), one.refused) for one in was}
    found = (
        ("regression.not_run", unasked),
        # Before the answer itself: an answer that differs as well must not turn a refusal into a question.
        ("regression.effect", any(one.refused not in {r.refused for r in was} for one in now)),
        ("regression.pinned", not stale and not _is_pinned(case, now)),
        ("regression.error", broken),
        ("regression.stale", stale),
        ("regression.unstable", len(said) > 1),
        ("regression.answer", any(one.parts != was[0].parts or one.kind != "answer" for one in now)),
        ("regression.time", _slower(declared, was, now)),
    )
    return next((code for code, holds in found if holds), "")


def _slower(declared: Declared, was: Sequence[Answer], now: Sequence[Answer]) -> bool:
    """Tell whether the faster round of the candidate is slower than the declared share of the base's, and by 0.1 s."""
    before, after = min(one.wall_us for one in was), min(one.wall_us for one in now)
    slower = after - before > SLACK_US and after * 100 > before * declared.time_percent
    return slower and declared.time_percent < ANY_SLOWER


def _is_pinned(case: Case, answers: Sequence[Answer]) -> bool:
    """Tell whether every answer has each part that the case's response names."""
    wanted = pinned(case).items()
    return all(one.parts.get(name) == text for one in answers for name, text in wanted)


def pinned(case: Case) -> dict[str, str]:
    """Return a case's response as the parts in which answers come back."""
    found: dict[str, str] = {}
    for name, value in case.response.items():
        if name in ("value", "json"):
            found["value" if name == "value" else "body"] = cut(_canonical(value))
        else:
            found[name] = cut(str(value))
    return found


def _canonical(value: Json) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def cut(text: str) -> str:
    """Return a text that is bounded and still another one for another text, as the guest's program cuts it."""
    if len(text) <= PART_CHARS:
        return text
    return f"{text[: PART_CHARS - 80]}… #{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"
