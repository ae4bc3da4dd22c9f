"""Recorded requests as cases, and what a replay of them says in a few numbers.

Source: docs/adr/0019-before-one-percent.md
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from evoguard.domain.canonical import Json
from evoguard.domain.cases import Case, request_of
from evoguard.domain.regression import Answer, Regression

MOST_REQUESTS, MOST_BYTES = 500, 64 << 20


def recorded(raw: bytes, kind: str, most: int = MOST_REQUESTS) -> tuple[tuple[Case, ...], int]:
    """Return the newest requests of a recording as cases named by their line, and how many lines there are.

    Raises: ValueError naming the line, for one that is not wholly readable; nothing is left out in silence.
    """
    if len(raw) > MOST_BYTES:
        raise ValueError(f"it is larger than {MOST_BYTES >> 20} MiB")
    lines = raw.splitlines()
    if not lines:
        raise ValueError("it holds no request")
    if not raw.endswith(b"\n"):
        raise ValueError(f"line {len(lines)} has no end; the recording was cut")
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            doc = json.loads(line)
            if not isinstance(doc, dict) or doc.get("v") != 1 or "request" not in doc:
                raise ValueError('it is {"v": 1, "request": {...}}')
            request = request_of(doc["request"], kind)
        except (ValueError, RecursionError) as err:
            raise ValueError(f"line {number}: {str(err)[:200]}") from err
        found.append(Case(f"line {number}", request))
    return tuple(found[-most:]), len(lines)


def summary(found: Regression) -> dict[str, Json]:
    """Return how many requests came out under which code, and both sides' time and cost in microseconds.

    `p50`, `p95`: nearest rank over requests, each the faster of two rounds; `cpu` is the sum, in ticks of the guest.
    """
    codes = Counter(row.code or "same" for row in found.rows)
    sides = {
        "base": [row.was for row in found.rows if row.was is not None],
        "candidate": [row.now for row in found.rows if row.now is not None],
    }
    return {"outcomes": dict(sorted(codes.items())), **{name: _side(answers) for name, answers in sides.items()}}


def _side(answers: Sequence[Answer]) -> dict[str, Json]:
    walls = sorted(one.wall_us for one in answers)
    return {
        "errors": sum(one.error for one in answers), "p50_us": _rank(walls, 50), "p95_us": _rank(walls, 95),
        "cpu_us": sum(one.cpu_us for one in answers), "refused": sum(one.refused for one in answers),
    }  # fmt: skip


def _rank(values: Sequence[int], percent: int) -> int:
    return values[max(0, -(-len(values) * percent // 100) - 1)] if values else 0
