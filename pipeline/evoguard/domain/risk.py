"""How risky a change is at least: whole points, sums and maxima of steps that never fall.

So a file more or a line more can never lower the floor. Weights and places are data of the policies. A model's opinion
may raise the risk above the floor, never lower it. Source: docs/adr/0008-risk.md.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise

from evoguard.domain import globs
from evoguard.domain.canonical import Json

MOST = 1_000
MOST_VALUE, MOST_STEPS, MOST_CLASSES, MOST_GLOBS = 1_000_000_000, 20, 50, 100
SUMMED = ("lines", "folders", "files", "fixes", "young", "authors", "newcomer", "weakened_tests", "unknown")
HARD = ("unreadable", "day_lines")
NEVER_FREE = ("unknown", "unreadable")
"""What was not seen costs points, whatever the data say."""


@dataclass(frozen=True, slots=True)
class Features:
    """What was measured; every value can only grow when a change does. Lines and files count the author's whole day."""

    lines: int = 0
    folders: int = 0
    files: int = 0
    fixes: int = 0
    """Fixes of the touched files in 180 days."""
    young: int = 0
    """1: a touched file is new, or younger than 7 days."""
    authors: int = 0
    """Distinct authenticated authors of the touched files; everyone from before the guard counts as one."""
    newcomer: int = 0
    """2: no merge here yet, or an agent; 1: fewer than five; 0: five or more."""
    weakened_tests: int = 0
    unknown: int = 0
    """Changed files, or possible users of them, whose reach could not be told."""
    unreadable: int = 0
    day_lines: int = 0
    """Lines of the same author in this repository in 24 hours, this change's included."""
    place: int = 0
    place_class: str = ""
    guard_paths: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the sum: what was measured, and the points for it. `hard` rows are a least, not a part of the sum."""

    name: str
    value: int
    points: int
    hard: bool = False
    note: str = ""

    def as_json(self) -> dict[str, Json]:
        """Return the row as plain JSON."""
        return {"name": self.name, "value": self.value, "points": self.points, "hard": self.hard, "note": self.note}


@dataclass(frozen=True, slots=True)
class Risk:
    """The floor with every line of its sum, and a model's opinion where there is one."""

    rows: tuple[Row, ...]
    model: int | None = None

    @property
    def floor(self) -> int:
        """Return the points that nobody can argue away, 0-1000."""
        summed = sum(row.points for row in self.rows if not row.hard)
        return max(min(MOST, summed), *(row.points for row in self.rows if row.hard), 0)

    @property
    def value(self) -> int:
        """Return the risk: the floor, or a model's opinion above it."""
        return max(self.floor, min(MOST, self.model or 0))

    def as_json(self) -> dict[str, Json]:
        """Return the risk as plain JSON, the form that is stored and judged."""
        rows: list[Json] = [row.as_json() for row in self.rows]
        return {"floor": self.floor, "risk": self.value, "model": self.model, "features": rows}


@dataclass(frozen=True, slots=True)
class Weights:
    """Steps by feature, (from this value on, points), and the classes of places: name → (points, globs)."""

    steps: Mapping[str, tuple[tuple[int, int], ...]]
    places: Mapping[str, tuple[int, tuple[str, ...]]]

    def points(self, feature: str, value: int) -> int:
        """Return the points of the highest step that the value reaches."""
        steps = self.steps[feature]
        at = bisect_right([start for start, _ in steps], value)
        return steps[at - 1][1] if at else 0

    def place(self, paths: Iterable[str]) -> tuple[int, str]:
        """Return the most points of any place that is touched, and its class."""
        names = list(paths)
        found = [(points, name) for name, (points, known) in self.places.items() if globs.touched(known, names)]
        return max(found, default=(0, ""))


def floor_of(features: Features, weights: Weights) -> Risk:
    """Return the risk of measured features under weights; a guard path is 1000 under any."""
    rows = [
        Row(f.name, value, weights.points(f.name, value), hard=f.name in HARD)
        for f in fields(features)
        if f.name in weights.steps and isinstance(value := getattr(features, f.name), int)
    ]
    rows.append(Row("place", features.place, min(MOST, features.place), note=features.place_class))
    rows.append(Row("guard_paths", features.guard_paths, MOST if features.guard_paths else 0, hard=True))
    return Risk(tuple(rows))


def risk_from(doc: Json) -> Risk:
    """Return a stored risk; what cannot be read was measured by nobody."""
    listed = doc.get("features") if isinstance(doc, Mapping) else None
    if not isinstance(doc, Mapping) or not isinstance(listed, list) or not listed:
        return unmeasured("mapped before risk was measured")
    model, rows = doc.get("model"), []
    for row in listed:
        if not isinstance(row, Mapping):
            return unmeasured("its record cannot be read")
        value, points = row.get("value"), row.get("points")
        if not isinstance(value, int) or not isinstance(points, int):
            return unmeasured("its record cannot be read")
        rows.append(Row(str(row.get("name")), value, points, bool(row.get("hard")), str(row.get("note", ""))))
    return Risk(tuple(rows), model if isinstance(model, int) else None)


def raised(risk: Risk, weights: Weights, paths: Iterable[str]) -> Risk:
    """Return the risk under other weights, where they are heavier: they reach what waits, lighter ones do not."""
    place, name = weights.place(paths)

    def again(row: Row) -> Row:
        points = weights.points(row.name, row.value) if row.name in weights.steps else 0
        if row.name == "place" and place > row.points:
            return replace(row, value=place, points=place, note=name)
        return replace(row, points=max(row.points, points))

    return replace(risk, rows=tuple(again(row) for row in risk.rows))


def unmeasured(why: str) -> Risk:
    """Return the risk of what nobody measured: the highest."""
    return Risk((Row("unmeasured", 1, MOST, hard=True, note=why),))


def weights_from(data: Mapping[str, Json]) -> Weights:
    """Return the weights in a bundle's data. Raises: ValueError saying what is wrong with them."""
    table = data.get("risk")
    if not isinstance(table, Mapping):
        raise ValueError("data.risk: it is a table of steps and places")
    return Weights(_steps(table.get("steps")), _places(table.get("places")))


def wrong(data: Mapping[str, Json]) -> str:
    """Return what is wrong with the risk that a bundle's data hold, or an empty text; a bundle may hold none."""
    try:
        if "risk" in data:
            weights_from(data)
            _answers(data["risk"])
    except ValueError as err:
        return str(err)
    return ""


def _answers(table: Json) -> None:
    """Prove what the rules answer to a risk, where it is said. Raises: ValueError."""
    for name, key in (("people", "people"), ("first_percent", "most"), ("step_times", "most")):
        rows = table.get(name, []) if isinstance(table, Mapping) else []
        where = f"data.risk.{name}"
        if not isinstance(rows, list) or len(rows) > MOST_STEPS:
            raise ValueError(f"{where}: at most {MOST_STEPS} rows of from and {key}")
        for row in rows:
            if not isinstance(row, Mapping) or set(row) != {"from", key}:
                raise ValueError(f"{where}: a row has from and {key}")
            _number(row["from"], where, 0, MOST)
            _number(row[key], where, 1, 100)


def _steps(table: Json) -> dict[str, tuple[tuple[int, int], ...]]:
    known = {*SUMMED, *HARD}
    if not isinstance(table, Mapping) or set(table) != known:
        raise ValueError(f"data.risk.steps: it has exactly {', '.join(sorted(known))}")
    found = {name: _rising(name, rows) for name, rows in table.items()}
    for name in NEVER_FREE:
        if not found[name] or found[name][0][0] != 1 or found[name][0][1] < 1:
            raise ValueError(f"data.risk.steps.{name}: from 1 on it costs points")
    return found


def _rising(name: str, rows: Json) -> tuple[tuple[int, int], ...]:
    where = f"data.risk.steps.{name}"
    if not isinstance(rows, list) or len(rows) > MOST_STEPS:
        raise ValueError(f"{where}: at most {MOST_STEPS} steps [from, points]")
    steps: list[tuple[int, int]] = []
    for row in rows:
        if not isinstance(row, list) or len(row) != 2:
            raise ValueError(f"{where}: a step is [from, points]")
        steps.append((_number(row[0], where, 1, MOST_VALUE), _number(row[1], where, 0, MOST)))
    if any(a[0] >= b[0] or a[1] > b[1] for a, b in pairwise(steps)):
        raise ValueError(f"{where}: values rise and points never fall")
    return tuple(steps)


def _places(table: Json) -> dict[str, tuple[int, tuple[str, ...]]]:
    if not isinstance(table, Mapping) or len(table) > MOST_CLASSES:
        raise ValueError(f"data.risk.places: at most {MOST_CLASSES} classes")
    return {name: _place(f"data.risk.places.{name[:40]}", body) for name, body in table.items()}


def _place(where: str, body: Json) -> tuple[int, tuple[str, ...]]:
    if not isinstance(body, Mapping) or set(body) != {"points", "globs"}:
        raise ValueError(f"{where}: it has points and globs")
    listed = body["globs"]
    if not isinstance(listed, list) or not 1 <= len(listed) <= MOST_GLOBS:
        raise ValueError(f"{where}: 1 to {MOST_GLOBS} globs")
    if bad := [g for g in listed if not isinstance(g, str) or not globs.readable(g)]:
        raise ValueError(f"{where}: {str(bad[0])[:40]!r} is no glob of **, *, ? and {{a,b}}")
    return _number(body["points"], where, 0, MOST), tuple(str(glob) for glob in listed)


def _number(value: Json, where: str, low: int, high: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{where}: a whole number from {low} to {high}")
    return value


def folders(paths: Sequence[str]) -> int:
    """Return how many folders the paths lie in."""
    return len({path.rpartition("/")[0] for path in paths})
