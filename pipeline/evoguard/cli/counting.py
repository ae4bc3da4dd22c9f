"""Verbs about sources of KPI batches: kpi prometheus."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, emit, run, verb
from evoguard.cli.text import line

if TYPE_CHECKING:
    from evoguard.prometheus.source import Look

EXAMPLE = """\
evoguard kpi prometheus scoring-kpis.toml --once --dry-run    # one look; prints what would be posted
evoguard kpi prometheus scoring-kpis.toml

scoring-kpis.toml:
  component = "scoring"
  flag = "lending-scoring"
  guard = "http://127.0.0.1:4242"       # names the rollout, takes the batches
  tokens = "kpi-tokens.json"            # {"flags.read": ..., "kpi.write": ...}, mode 600, tokens of its own:
                                        #   evoguard flags issue prometheus --kind kpi.write --assurance host
  state = "kpi-state"                   # a folder: what was counted and told
  prometheus = "http://127.0.0.1:9090"
  stateless = true                      # one request is one unit; counts carry no users
  most_per_s = 500                      # more new units a second are no traffic of this component
  scrape_s = 15                         # the scrape interval of Prometheus
  exposed = 'sum by (arm) (front_requests_total{service="scoring"})'
  up = 'up{job="front"}'                # the target that counts: outside of the versions
  # arm_label = "arm"
  # arms = {known_good = "stable", candidate = "canary"}    # values of that label
  [bad]                                 # by KPI of .evoguard.toml: its bad outcomes, zero spelled out
  errors = '''sum by (arm) (front_requests_total{service="scoring",code=~"5.."})
              or 0 * sum by (arm) (front_requests_total{service="scoring"})'''
"""
kpi = typer.Typer(no_args_is_help=True, rich_markup_mode=None, help="Sources of KPI batches beside `evoguard edge`.")


def attach(app: typer.Typer) -> None:
    """Add this file's verbs."""
    verb(kpi, "prometheus", example=EXAMPLE)(prometheus)
    app.add_typer(kpi, name="kpi")


def prometheus(
    session: Session,
    settings: Annotated[Path, typer.Argument(metavar="FILE", help="TOML file, as below.")],
    once: Annotated[bool, typer.Option("--once", help="Look once and end.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print what would be posted; post and keep nothing.")
    ] = False,
) -> int:
    """Post KPI batches from counters of a Prometheus server, for traffic of which every request stands for itself.

    Counters are read as the last scrape left them and differenced here; the first look counts nothing. A look that
    cannot be trusted posts nothing and says why (an arm or a series missing, no whole number, an error or warning, an
    old sample, a target that is down, more bad than exposed): silence holds the rollout and at last ends it.
    Events only: no histograms, no latency. With --json one object a look.

    With --once: exit code 0 for a look that was well, 3 after the guard refused a batch for good, 8 for any other.
    """
    from evoguard.cli import process
    from evoguard.wiring import prometheus as wiring

    process.log_to_stderr("info")
    if once:
        look = run(wiring.once(settings, dry=dry_run))
        _say(session, look, dry=dry_run)
        return exit_codes.DONE if look.well else exit_codes.DENIED if look.code == "refused" else exit_codes.TRANSIENT
    run(
        process.until_signal(
            lambda stop: wiring.follow(settings, stop, lambda look: _say(session, look, dry=dry_run), dry=dry_run)
        )
    )
    return exit_codes.DONE


def _say(session: Session, look: Look, *, dry: bool) -> None:
    if session.json:
        emit({**look.as_json(), "dry_run": dry})
        return
    word = "would tell" if dry and look.code == "told" else look.code
    line(f"{word}: {look.text}" + (f"  ({look.change})" if look.change else ""))
    if dry:
        import json

        for batch in look.batches:
            line(json.dumps(batch))
