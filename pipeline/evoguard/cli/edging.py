"""The verb that fronts versions: edge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evoguard.cli import exit_codes
from evoguard.cli.session import Session, emit, run, verb

EXAMPLE = """evoguard edge scoring.toml

scoring.toml:
  component = "scoring"
  flag = "lending-scoring"
  listen = "127.0.0.1:8080"
  guard = "http://127.0.0.1:4242"       # flags are read there, outcomes are told there
  tokens = "tokens.json"                # {"flags.read": ..., "kpi.write": ...}, mode 600
  journals = "edge-journals"            # a folder that no version can reach
  unit_header = "X-User-Id"             # or unit_cookie: who is one user
  known_good = "COMMIT"                 # answers while there is no flag
  answer_keys = ["score"]               # optional: what a good JSON answer has
  [versions]
  COMMIT = "http://127.0.0.1:9001"
  OTHER_COMMIT = "http://127.0.0.1:9002"
  [cost]                                # optional: KPIs with kind = "value" that the edge measures
  wall_us = "wall"
  bytes_out = "egress"

instead of [versions], to have the edge start them, each as a user of its own (as root), ended with the edge:
  [start]
  command = ["/usr/bin/python3", "/srv/versions/{commit}/serve.py", "--fd", "{fd}"]   # {fd}: a socket that listens
  health = "/healthz"                   # answers 200 before anybody meets the version
  environment = {MODE = "production"}   # nothing of the edge's own environment passes
"""


def attach(app: typer.Typer) -> None:
    """Add this file's verb."""
    verb(app, "edge", example=EXAMPLE)(edge)


def edge(
    session: Session,
    settings: Annotated[Path, typer.Argument(metavar="FILE", help="TOML file, as below.")],
) -> int:
    """Split traffic between versions by flag, and count outcomes where no version can touch the count."""
    from evoguard.cli import process
    from evoguard.edge.serving import serve
    from evoguard.edge.settings import load

    process.log_to_stderr("info")
    found = load(settings)
    if session.json:
        emit({"edge": f"http://{found.host}:{found.port}", "component": found.component, "flag": found.flag})
    run(process.until_signal(lambda stop: serve(found, stop)))
    return exit_codes.DONE
