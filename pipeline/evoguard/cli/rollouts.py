"""Verbs about rollouts: `rollout show` draws one in the terminal."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from evoguard.cli import exit_codes, plot
from evoguard.cli.docs import Doc, doc_of, docs_of
from evoguard.cli.session import Session, run, verb
from evoguard.cli.text import facts, line

ROWS = 8
EVIDENCE = (
    ("abort_e_milli", "worse than known-good; at the line it is taken back", "abort_bound_milli"),
    ("promote_e_milli", "not worse by the margin; at the line it may widen", "promote_bound_milli"),
)
HALF_OPEN = "half-open: its author was held before, so it takes smaller and longer steps"
rollout = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Rollouts as they went.")


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    verb(rollout, "show", example="evoguard rollout show ch-0123456789ab")(show)
    app.add_typer(rollout, name="rollout")


def show(session: Session, change: Annotated[str, typer.Argument(metavar="ID", help="The change's id.")]) -> int:
    """Draw a rollout: who met the candidate, both versions' rates, and the evidence beside its bounds.

    Before the approval: how many new users each stage will need, and whether its window is long enough for them.
    """
    from evoguard.adapters.sqlite.kpis import SqliteKpis
    from evoguard.views import rollout as view
    from evoguard.wiring.reading import Reading

    with session.opened() as opened:
        kpis = SqliteKpis(opened.con)
        doc = run(
            view.rollout(Reading(opened), kpis, change, now_ms=time.time_ns() // 1_000_000, pace=opened.settings.pace)
        )
    session.answer(doc, lambda: page(doc))
    return exit_codes.DONE


def page(doc: Doc) -> None:
    """Print the pictures."""
    points = docs_of(doc["points"])
    stages = docs_of(doc["stages"])
    facts([("change", doc["change"]), ("status", doc["status"]), ("flag", doc["flag"]), *_needs(doc_of(doc["needs"]))])
    if not points:
        return
    last = points[-1]
    facts(
        [
            ("stages", ", ".join(f"{stage['percent']} %" for stage in stages)),
            *([("breaker", HALF_OPEN)] if doc["breaker"] == "half-open" else []),
            ("met known-good", last["known_good"]), ("met the candidate", last["candidate"]),
            *([("ended", f"{doc['ended']}: {doc['reason']}")] if doc["ended"] else []),
        ]
    )  # fmt: skip
    line()
    marks = plot.ruler([f"{one['percent']} %" for one in points])
    met = [_number(one["candidate"]) for one in points]
    _chart("units that met the candidate, all stages", plot.heights(met, max(1.0, *met), 4), marks, f"{max(met):,.0f}")
    for kpi in sorted(doc_of(doc["kpis"])):
        _rates(kpi, points, marks)
        _evidence(doc, kpi, points, marks)
    for kpi in sorted(doc_of(doc["values"])):
        counted = doc_of(doc_of(doc_of(last["kpis"])[kpi])["values"])
        line(f"{kpi}: values in this stage: {counted['candidate']} candidate, {counted['known_good']} known-good")
        _evidence(doc, kpi, points, marks)


def _needs(needs: Doc) -> list[tuple[str, object]]:
    """Return the lines about what the plan needs; a plan that its window cannot hold is named."""
    stages = ", ".join(f"{stage['percent']} %: {_number(stage['units']):,.0f}" for stage in docs_of(needs["stages"]))
    rows: list[tuple[str, object]] = [("new units needed, about", stages)]
    if needs["units_a_day"]:
        rows.append(("takes at least, about", f"{_number(needs['takes_s']) / 3600:,.1f} h"))
    if needs["too_long"]:
        rows.append(("too long for its window", needs["too_long"]))
    return rows


def _rates(kpi: str, points: list[Doc], marks: str) -> None:
    rows = [doc_of(doc_of(one["kpis"])[kpi]) for one in points]
    control, treated = ([_band(doc_of(row[arm])) for row in rows] for arm in ("known_good", "candidate"))
    shown = [value for value, _, _ in (*control, *treated) if value is not None]
    top = min(1.0, 1.6 * max(shown, default=0.0)) or 0.01
    title = f"{kpi}: rate in this stage; {plot.TREATED} candidate, {plot.BAND} its 95 % band, {plot.CONTROL} known-good"
    _chart(title, plot.arms(control, treated, top, ROWS), marks, f"{100 * top:.2g} %")


def _evidence(doc: Doc, kpi: str, points: list[Doc], marks: str) -> None:
    rows = [doc_of(doc_of(one["kpis"])[kpi]) for one in points]
    for name, what, bound in EVIDENCE:
        needed, seen = _number(doc[bound]) / 1000, [_number(row[name]) / 1000 for row in rows]
        line_at, values = plot.decades(needed), [plot.decades(value) for value in seen]
        top = max(1.25 * line_at, *values)
        now = f"now {seen[-1]:,.3g}, line {needed:,.3g}"
        drawn = plot.heights(values, top, 5, bound=line_at)
        _chart(f"{kpi}: evidence that the candidate is {what} ({now})", drawn, marks, f"{10**top:,.3g}", "1")


def _band(arm: Doc) -> plot.Band:
    rate, low, high = (arm[name] for name in ("rate_ppm", "low_ppm", "high_ppm"))
    return None if rate is None else _number(rate) / 1e6, _number(low) / 1e6, _number(high) / 1e6


def _chart(title: str, rows: list[str], marks: str, top: str, bottom: str = "0") -> None:
    line(title)
    for said, row in zip([top, *[""] * (len(rows) - 2), bottom], rows, strict=True):
        line(f"{said:>9} ┤{row}")
    line(f"{'':>9} └{marks}")
    line()


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0
