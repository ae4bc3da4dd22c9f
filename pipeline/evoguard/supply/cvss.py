"""The base score of a CVSS 3 vector, and the word for it."""

from __future__ import annotations

import math
from collections.abc import Mapping

_WEIGHTS: Mapping[str, Mapping[str, float]] = {
    "AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2},
    "AC": {"L": 0.77, "H": 0.44},
    "UI": {"N": 0.85, "R": 0.62},
    "C": {"H": 0.56, "L": 0.22, "N": 0.0},
    "I": {"H": 0.56, "L": 0.22, "N": 0.0},
    "A": {"H": 0.56, "L": 0.22, "N": 0.0},
}
_RIGHTS = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_WORDS = ((9.0, "critical"), (7.0, "high"), (4.0, "moderate"), (0.1, "low"))


def word(vector: str) -> str:
    """Return critical, high, moderate or low; an empty text for what is no CVSS 3 vector.

    Source: FIRST, CVSS v3.1 specification, section 7.1.
    """
    head, *parts = vector.split("/")
    if not head.startswith("CVSS:3"):
        return ""
    told = dict(part.partition(":")[::2] for part in parts)
    try:
        weight = {name: table[told[name]] for name, table in _WEIGHTS.items()}
        rights = _RIGHTS[told["S"]][told["PR"]]
    except KeyError:
        return ""
    wide = told["S"] == "C"
    base = 1 - (1 - weight["C"]) * (1 - weight["I"]) * (1 - weight["A"])
    impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15 if wide else 6.42 * base
    ease = 8.22 * weight["AV"] * weight["AC"] * rights * weight["UI"]
    score = 0.0 if impact <= 0 else _up(min((impact + ease) * (1.08 if wide else 1.0), 10))
    return next((name for least, name in _WORDS if score >= least), "low")


def _up(score: float) -> float:
    """Return the next tenth up, as the specification rounds."""
    whole = round(score * 100_000)
    return whole / 100_000 if whole % 10_000 == 0 else (math.floor(whole / 10_000) + 1) / 10
