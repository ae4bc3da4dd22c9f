"""Two bundles side by side: what stands differently in them, and what they say differently to the same question."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from evoguard.domain.canonical import Json
from evoguard.domain.verdict import Decision, Finding

Turn = Literal["newly allowed", "no verdict", "looser", "both", "newly denied", "tighter", "unchanged"]
TURNS: tuple[Turn, ...] = ("newly allowed", "no verdict", "looser", "both", "newly denied", "tighter", "unchanged")
LOOSER = frozenset({"newly allowed", "no verdict", "looser", "both"})
TIGHTER = frozenset({"newly denied", "tighter", "both"})
RANK = {"note": 0, "escalate": 1, "deny": 2, "constitution": 3}
MOST_TEXT, MOST_VALUES = 200_000, 200
QUORUM = "quorum"


@dataclass(frozen=True, slots=True)
class Side:
    """One bundle: its name, sources, data, scan rules, and of each rule severity and what it reads."""

    digest: str
    sources: Mapping[str, str]
    data: Mapping[str, Json]
    scan: Mapping[str, Mapping[str, Any]]
    severities: Mapping[str, str]
    reads: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Turned:
    """What became of one question: `looser` and `tighter` name codes (and `quorum`) that weigh less or more in B."""

    turn: Turn
    looser: frozenset[str] = frozenset()
    tighter: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Static:
    """What stands differently. `code`: the rule itself changed; `words`: only comments and METADATA of it did."""

    new: tuple[str, ...]
    gone: tuple[str, ...]
    code: tuple[str, ...]
    words: tuple[str, ...]
    shared: tuple[str, ...]
    """Sources that are no rule and no test of one: what rules share, schema, capabilities, scan rules."""
    severities: tuple[tuple[str, str, str], ...]
    values: tuple[tuple[str, Json, Json], ...]
    """Place in data.json, before and after; None where there is none."""
    scan: tuple[tuple[str, str], ...]
    """Scan rule, and `new`, `gone`, `changed` or `less severe`."""

    @property
    def changed(self) -> list[str]:
        """Return the codes of rules that are new or whose own text changed."""
        return sorted({*self.new, *self.code})


def turned(a: Decision | None, b: Decision | None) -> Turned:
    """Return what B says otherwise. No verdict on one side is a turn; on both sides nothing differs."""
    if a is None or b is None:
        return Turned("unchanged" if a is b else "no verdict")
    left, right = _weights(a), _weights(b)
    looser = {code for (code, *_), weight in left.items() if right.get((code, *_), 0) < weight}
    tighter = {code for (code, *_), weight in right.items() if left.get((code, *_), 0) < weight}
    looser |= {QUORUM} if b.quorum < a.quorum else set()
    tighter |= {QUORUM} if b.quorum > a.quorum else set()
    return Turned(_turn(a, b, looser, tighter), frozenset(looser), frozenset(tighter))


def _turn(a: Decision, b: Decision, looser: set[str], tighter: set[str]) -> Turn:
    if a.allow != b.allow:
        return "newly allowed" if b.allow else "newly denied"
    if looser and tighter:
        return "both"
    return "looser" if looser else "tighter" if tighter else "unchanged"


def _weights(decision: Decision) -> dict[tuple[str, str, str], int]:
    """Return finding → how much it weighs: refused more than shown to people; what is only told weighs nothing."""
    weights = dict.fromkeys(map(_key, decision.escalate), 1)
    return weights | dict.fromkeys(map(_key, decision.deny), 2)


def _key(finding: Finding) -> tuple[str, str, str]:
    return finding.code, finding.path, finding.term


def static(a: Side, b: Side) -> Static:
    """Return what stands differently in two bundles."""
    both = a.severities.keys() & b.severities.keys()
    edited = {code for code in both if a.sources.get(_file(code)) != b.sources.get(_file(code))}
    code = {one for one in edited if _bare(a.sources.get(_file(one), "")) != _bare(b.sources.get(_file(one), ""))}
    rules = {_file(one) for one in a.severities.keys() | b.severities.keys()}
    shared = {path for path in a.sources.keys() | b.sources.keys() if a.sources.get(path) != b.sources.get(path)}
    shared = {path for path in shared - rules - {"data.json"} if not path.endswith("_test.rego")}
    values = dict(_values(a.data, b.data))
    return Static(
        new=tuple(sorted(b.severities.keys() - both)),
        gone=tuple(sorted(a.severities.keys() - both)),
        code=tuple(sorted(code)),
        words=tuple(sorted(edited - code)),
        shared=tuple(sorted(shared)),
        severities=tuple(
            (c, a.severities[c], b.severities[c]) for c in sorted(both) if a.severities[c] != b.severities[c]
        ),
        values=tuple((place, *values[place]) for place in sorted(values)),
        scan=tuple(_scan(a.scan, b.scan)),
    )


def loosened(found: Static) -> list[str]:
    """Return what loosens the guard as it stands, whatever questions were tried."""
    lines = [f"the rule {code} is gone" for code in found.gone]
    lines += [f"the rule {c} is {after}, it was {before}" for c, before, after in found.severities
              if RANK.get(after, -1) < RANK.get(before, -1)]  # fmt: skip
    lines += [f"the scan rule {rule} is {what}" for rule, what in found.scan if what in ("gone", "less severe")]
    excepted = [
        place for place, _, after in found.values if place.startswith(("exemptions", "shadow")) and after is not None
    ]
    return lines + [f"data.json: {place} excepts something new, or otherwise" for place in excepted]


def unknown(found: Static, fired: Mapping[str, int], *, differs: bool) -> list[str]:
    """Return what no question showed, so that it cannot be said whether it loosens. `fired`: code → on either side."""
    lines = [f"the rule {code} changed, and no question made it fire on either side" for code in found.code
             if not fired.get(code)]  # fmt: skip
    lines += [f"the scan rule {rule} changed; scans are not run here" for rule, what in found.scan if what == "changed"]
    other = [
        place for place, _, _ in found.values if not place.startswith(("exemptions", "shadow", "rules", "constitution"))
    ]
    if (other or _shared_rego(found)) and not differs:
        lines += [f"data.json: {place} changed, and no question shows what it does" for place in other]
        lines += [f"{path} changed, and no question shows what it does" for path in _shared_rego(found)]
    return lines


def _shared_rego(found: Static) -> list[str]:
    return [path for path in found.shared if path.endswith(".rego")]


def text_diff(a: Side, b: Side) -> str:
    """Return a unified diff of the sources, cut off where it gets too long to read, and saying so."""
    rows: list[str] = []
    for path in sorted(a.sources.keys() | b.sources.keys()):
        before, after = (side.sources.get(path, "").splitlines() for side in (a, b))
        if before != after:
            rows += difflib.unified_diff(before, after, f"a/{path}", f"b/{path}", lineterm="")
    text = "\n".join(rows)
    return text if len(text) <= MOST_TEXT else text[:MOST_TEXT] + f"\n... {len(text) - MOST_TEXT} more letters"


def counted(turns: Sequence[Turned]) -> tuple[dict[str, int], list[Json]]:
    """Return the counts by turn, and by code how often it weighs less or more in B."""
    turn = Counter(one.turn for one in turns)
    looser, tighter = (Counter(code for codes in many for code in codes)
                       for many in ((t.looser for t in turns), (t.tighter for t in turns)))  # fmt: skip
    rows: list[Json] = [
        {"code": code, "looser": looser[code], "tighter": tighter[code]} for code in sorted({*looser, *tighter})
    ]
    return {name: turn[name] for name in TURNS}, rows


def verdict(turns: Sequence[Turned], loosening: Sequence[str], *, new: bool) -> str:
    """Return the one word: `loosening`, `tightening`, `both` or `nothing differs`."""
    loose = bool(loosening) or any(one.turn in LOOSER or one.looser for one in turns)
    tight = new or any(one.turn in TIGHTER or one.tighter for one in turns)
    return "both" if loose and tight else "loosening" if loose else "tightening" if tight else "nothing differs"


def _file(code: str) -> str:
    return f"{code.replace('.', '/')}.rego"


def _bare(text: str) -> list[str]:
    """Return the lines that are code; whole-line comments, METADATA among them, decide nothing."""
    return [line.strip() for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def _values(a: Json, b: Json, place: str = "") -> Iterator[tuple[str, tuple[Json, Json]]]:
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        for key in sorted(a.keys() | b.keys()):
            yield from _values(a.get(key), b.get(key), f"{place}.{key}" if place else key)
    elif a != b or type(a) is not type(b):
        yield place, (a, b)


def _scan(a: Mapping[str, Mapping[str, Any]], b: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    worth = {"INFO": 0, "WARNING": 1, "ERROR": 2}
    for rule in sorted(a.keys() | b.keys()):
        if rule not in b or rule not in a:
            yield rule, "new" if rule in b else "gone"
        elif a[rule] != b[rule]:
            less = worth.get(str(b[rule].get("severity")), -1) < worth.get(str(a[rule].get("severity")), -1)
            yield rule, "less severe" if less else "changed"
