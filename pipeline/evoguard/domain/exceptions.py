"""What a bundle excepts from its rules, read for people; what holds is the rules' own word (policies/exceptions).

An exemption lifts one rule's findings in a scope until a day; a rule in shadow is recorded and decides nothing before
its day. Neither may name a rule of the constitution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from evoguard.domain import calendar
from evoguard.domain.canonical import Json

EXEMPTION = frozenset({"id", "code", "scope", "reason", "owner", "approved_by", "until"})
SCOPE = frozenset({"repo", "component", "path"})
SHADOW = frozenset({"code", "effective_on"})
LEAST_PEOPLE = 2


def constitution(codes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return the codes that nothing lifts, sorted."""
    return sorted(code for code, about in codes.items() if about.get("severity") == "constitution")


def wrong(data: Mapping[str, Json], codes: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return what is wrong with the exemptions, shadows and the constitution's list of a bundle's data, in words."""
    fixed = constitution(codes)
    found = [] if data.get("constitution") == fixed else [f"`constitution` must be {fixed}"]
    known = {code for code in codes if code not in fixed}
    for name, check in (("exemptions", _exemption), ("shadow", _shadow)):
        rows = data.get(name)
        if not isinstance(rows, list):
            found.append(f"`{name}` must be a list")
            continue
        found += [f"{name}[{n}]: {why}" for n, row in enumerate(rows) if (why := check(row, known))]
    return found


def listed(data: Mapping[str, Json], now_s: int) -> tuple[list[Json], list[Json]]:
    """Return the exemptions and the rules in shadow, each with its `standing` at a moment (unix seconds)."""
    days = _whole(data, "limits", "exemption_days")
    exempt = [{**row, "standing": _standing(row.get("until"), now_s, days)} for row in _rows(data, "exemptions")]
    shadow = [{**row, "standing": _standing(row.get("effective_on"), now_s)} for row in _rows(data, "shadow")]
    return [*exempt], [*shadow]


def _standing(day: Json, now_s: int, most_days: int | None = None) -> str:
    end = calendar.day(day)
    if end is None:
        return "not whole: it names no day"
    left = (datetime(end.year, end.month, end.day, tzinfo=UTC).timestamp() - now_s) / 86_400
    if left <= 0:
        return "run out"
    return "too far ahead: does not hold yet" if most_days is not None and left > most_days else "holds"


def _exemption(row: Json, known: set[str]) -> str:
    if not isinstance(row, dict) or set(row) != EXEMPTION:
        return f"it has the keys {', '.join(sorted(EXEMPTION))}"
    if bare := [key for key in ("id", "reason", "owner") if not isinstance(row[key], str) or not row[key]]:
        return f"{', '.join(bare)} must be said"
    people, scope = row["approved_by"], row["scope"]
    names = {str(name).casefold() for name in people if isinstance(name, str) and name} if _is_list(people) else set()
    if len(names) < LEAST_PEOPLE:
        return f"approved_by names {LEAST_PEOPLE} different people"
    if not isinstance(scope, dict) or set(scope) != SCOPE or not all(isinstance(v, str) for v in scope.values()):
        return f"scope has the texts {', '.join(sorted(SCOPE))}"
    if not scope["repo"] and not scope["component"]:
        return "scope names a repository or a component"
    return _code(row["code"], known) or ("" if calendar.day(row["until"]) else "until is a day, such as 2026-12-31")


def _shadow(row: Json, known: set[str]) -> str:
    if not isinstance(row, dict) or set(row) != SHADOW:
        return f"it has the keys {', '.join(sorted(SHADOW))}"
    return _code(row["code"], known) or (
        "" if calendar.day(row["effective_on"]) else "effective_on is a day: 2026-12-31"
    )


def _code(code: Json, known: set[str]) -> str:
    return "" if code in known else f"{str(code)[:60]!r} is no rule that may be excepted"


def _is_list(value: Json) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _rows(data: Mapping[str, Json], name: str) -> list[dict[str, Json]]:
    rows = data.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _whole(data: Mapping[str, Json], *path: str) -> int:
    at: Json = dict(data)
    for key in path:
        at = at.get(key) if isinstance(at, dict) else None
    return at if isinstance(at, int) else 0


def days_left(day: Json, now_s: int) -> int:
    """Return the whole days until a day begins (UTC) at a moment in unix seconds; 0 when it has begun or is none."""
    end = calendar.day(day)
    return max(0, int((datetime(end.year, end.month, end.day, tzinfo=UTC).timestamp() - now_s) // 86_400)) if end else 0


def lifts(exemption: Mapping[str, Json], note: Mapping[str, Json]) -> bool:
    """Tell whether a decision's note is what an exemption lifted, as policies/exceptions words it, whatever its day."""
    said = str(note.get("msg", ""))
    named = f" ({exemption.get('id')}): "
    return note.get("code") == exemption.get("code") and said.startswith("exempt until ") and named in said[:200]


def watches(shadow: Mapping[str, Json], note: Mapping[str, Json]) -> bool:
    """Tell whether a decision's note is what a rule in shadow would have said."""
    return note.get("code") == shadow.get("code") and str(note.get("msg", "")).startswith("in shadow until ")
