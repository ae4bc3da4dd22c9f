"""`evoguard bench NAME`: the one door for every figure. Each bench is one file, its baseline in the same call."""

from __future__ import annotations

import importlib
import inspect
import os
import platform
from dataclasses import dataclass
from typing import Any

from evoguard.errors import InputError

NAMES = (
    "abort",
    "attacker",
    "changes",
    "crash",
    "edge",
    "escapes",
    "forgeries",
    "guard",
    "kill",
    "kpis",
    "policy",
    "risk",
    "sandbox",
    "scan",
    "suite",
    "suites",
    "telemetry-forgeries",
)


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured figure; `baseline` is what a user would use instead, from the same run, or None."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    baseline: float | None = None
    higher_is_better: bool = False
    note: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether the bar is met; a figure without a bar is."""
        if self.bar is None:
            return True
        return self.value >= self.bar if self.higher_is_better else self.value <= self.bar

    def as_json(self) -> dict[str, Any]:
        """Return the figure as plain JSON."""
        return {
            "name": self.name, "value": round(self.value, 2), "unit": self.unit, "bar": self.bar,
            "baseline": None if self.baseline is None else round(self.baseline, 2), "ok": self.ok, "note": self.note,
        }  # fmt: skip


def run(name: str, *, quick: bool = False, **options: int | str) -> dict[str, Any]:
    """Run one bench and return `{"bench", "machine", "figures"}`.

    Raises: InputError for an unknown name, or for an option that the bench has not.
    """
    if name not in NAMES:
        raise InputError(f"there is no bench {name[:40]!r}", code="bench.unknown", fix=f"one of: {', '.join(NAMES)}")
    measure = importlib.import_module(f"evoguard.bench.{name.replace('-', '_')}").measure
    if unknown := [one for one in options if one not in inspect.signature(measure).parameters]:
        raise InputError(f"bench {name} has no --{unknown[0][:20]}", code="bench.option", fix="`evoguard bench --help`")
    figures = measure(quick=quick, **options)
    return {"bench": name, "machine": machine(), "figures": [figure.as_json() for figure in figures]}


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cores": os.cpu_count(), "python": platform.python_version(), "kernel": platform.release(),
        "load": round(os.getloadavg()[0], 2),
    }  # fmt: skip
