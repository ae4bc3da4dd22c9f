"""The plan of a rollout as it was approved, and how many units it will need."""

from __future__ import annotations

from collections.abc import Mapping

from evoguard.domain.canonical import Json
from evoguard.domain.evalues import expected_units
from evoguard.domain.kpi import ValueKpi
from evoguard.domain.ranks import expected_values
from evoguard.domain.rollout import Plan

DAY_S = 86_400


def plan_from(component: Mapping[str, Json], *, dwell_s: int, disaster_exposures: int, evidence_from_percent: int,
              silent_s: int, change: str = "") -> Plan:  # fmt: skip
    """Return the plan that a component's approved document holds; one from before hold-backs has none.

    Raises: TypeError, ValueError for a document that is not one of `Component.as_json`.
    """
    pacing = _table(component.get("pacing"))
    holdback = int(str(pacing.get("holdback_percent", 0)))
    stages = tuple(min(int(str(s)), 100 - holdback) for s in _list(component["stages"]))
    return Plan(
        stages=stages,
        margins={name: int(str(margin)) for name, margin in _table(component["kpis"]).items()},
        dwell_s=dwell_s,
        disaster_exposures=disaster_exposures,
        evidence_from_percent=evidence_from_percent,
        silent_s=silent_s,
        promote_alpha=int(str(pacing.get("promote_alpha_percent", 5))) / 100,
        change=change,
        values={name: _value(kpi) for name, kpi in _table(component.get("values")).items()},
        holdback_percent=holdback,
        bake_s=int(str(pacing.get("bake_s", 0))),
        window_s=int(str(pacing.get("window_s", 0))),
    )


def needs(plan: Plan, *, baseline_ppm: int) -> dict[int, int]:
    """Return about how many new units (both arms) each stage needs, by percent, for a candidate equal to known-good."""
    alpha = plan.promote_alpha / max(1, len(plan.kpis))
    found = {}
    for percent in plan.stages:
        found[percent] = plan.disaster_exposures
        if plan.evidence_from_percent <= percent < plan.full:
            events = (expected_units(percent, baseline_ppm / 1e6, m / 100, alpha) for m in plan.margins.values())
            values = (expected_values(percent, kpi, alpha) for kpi in plan.values.values())
            found[percent] = max(plan.disaster_exposures, *events, *values)
        elif percent >= plan.full:
            found[percent] = -(-100 * plan.disaster_exposures // percent)
    return found


def least_s(plan: Plan, needed: Mapping[int, int], units_a_day: int) -> int:
    """Return how long the whole rollout takes at the least, in seconds, when so many new units come a day."""
    took = 0
    for percent, units in needed.items():
        dwell = max(plan.dwell_s, plan.bake_s) if percent >= plan.full else plan.dwell_s
        took += max(dwell, -(-units * DAY_S // units_a_day))
    return took


def foreseen(component: Mapping[str, Json], plan: Plan) -> dict[str, Json]:
    """Return what the plan needs as plain JSON; `too_long` names a plan that its own window cannot hold."""
    pacing = _table(component.get("pacing"))
    needed = needs(plan, baseline_ppm=int(str(pacing.get("baseline_ppm", 10_000))))
    units_a_day = int(str(pacing.get("units_a_day", 0)))
    takes_s = least_s(plan, needed, units_a_day) if units_a_day else 0
    text = ""
    if plan.window_s and takes_s > plan.window_s:
        text = (
            f"the plan needs about {sum(needed.values()):,} new units, so {takes_s:,} s at {units_a_day:,} a day, "
            f"and is taken back after {plan.window_s:,} s"
        )
    return {
        "stages": [{"percent": percent, "units": units} for percent, units in needed.items()],
        "units": sum(needed.values()),
        "units_a_day": units_a_day,
        "takes_s": takes_s,
        "window_s": plan.window_s,
        "too_long": text,
    }


def _value(kpi: Json) -> ValueKpi:
    return ValueKpi(**{name: int(str(number)) for name, number in _table(kpi).items()})


def _table(value: Json | None) -> Mapping[str, Json]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise TypeError("a table of a component's document is none")
    return value


def _list(value: Json) -> list[Json]:
    if not isinstance(value, list):
        raise TypeError("the stages of a component's document are no list")
    return value
