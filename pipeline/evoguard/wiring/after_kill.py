"""What is proved once a kill is done: who knows of it, and that nothing from before it can be made any more."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial

from evoguard.adapters.client_roll import ServedClients
from evoguard.adapters.clock import SystemClock
from evoguard.adapters.git.forge import GitForge
from evoguard.adapters.git.probe import refuses
from evoguard.adapters.sqlite import db, event_log
from evoguard.adapters.sqlite.flags import SqliteFlags, SqliteFlagStore
from evoguard.adapters.sqlite.registry import SqliteRegistry
from evoguard.domain.clients import Asked, Probe, Roll, RollCall, roll_call
from evoguard.domain.events import Event
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import Latch
from evoguard.errors import EvoguardError, FencedError
from evoguard.kill import KillReport
from evoguard.settings import Settings
from evoguard.wiring import flags as flag_wiring

WINDOW_S = 3.0
"""How long the command waits for clients; who polls more seldom is named as due."""
LOOK_S = 0.05
MOST_PROBES = 20


async def call(settings: Settings, latch: Latch, served: dict[str, str], *, began_ms: int) -> RollCall:
    """Call every client that reads flags until all know, or as long as those may take that should know by then.

    Raises: UnavailableError when the flag server does not say.
    """
    covered = {flag: owner for flag, owner in served.items() if latch.covers(component=owner, flag=flag)}
    flags, components = frozenset(covered) | {latch.name}, frozenset(covered.values()) | {latch.name}
    asked = Asked(latch.epoch, began_ms, flags, components)
    end = time.monotonic() + WINDOW_S
    while True:
        roll = await served_clients(settings).roll()
        found = roll_call(roll, asked)
        if found.complete or time.monotonic() > end or not _soon(roll, asked):
            return found
        await asyncio.sleep(LOOK_S)


def served_clients(settings: Settings) -> ServedClients:
    """Return the way to ask the flag server who reads flags."""
    return ServedClients(settings.flags_url, partial(flag_wiring.token, settings, "flags.read"))


def _soon(roll: Roll, asked: Asked) -> bool:
    """Tell whether anybody who does not know yet should within the window."""
    waiting = (c for c in roll.clients if c.told_at(asked.epoch) is None and not c.is_gone(roll.now_ms))
    return any(client.bound_ms() <= WINDOW_S * 1000 for client in waiting)


async def probe(settings: Settings, latch: Latch) -> Probe:
    """Try what a worker that slept through the kill would do: a flag's row and a ref, under the epoch before it.

    The row that is tried is off and at 0 %, so that even one that is not refused shows nothing to anybody.
    """
    refused: list[str] = []
    made: list[str] = []
    unknown: list[str] = []
    forge, covered = GitForge(settings.repos_dir), set()
    try:
        with closing(db.connect(settings.database, busy_s=0.5)) as con:
            rows = SqliteFlagStore(settings.database).rows()[1]
            states = [row for row in rows if latch.covers(component=row.component, flag=row.flag)][:MOST_PROBES]
            covered = {state.component for state in states}
            for state in states:
                writer = SqliteFlags(con, flag_wiring.latches(settings))
                (refused if await _row_refused(writer, state, latch.epoch - 1) else made).append(f"flag {state.flag}")
    except (EvoguardError, sqlite3.Error):
        unknown.append("database")
    for repo in forge.released()[:MOST_PROBES]:
        if latch.scope != "all" and covered.isdisjoint(forge.hinted(repo)):
            continue
        try:
            (refused if await refuses(settings.repos_dir, repo, latch.epoch - 1) else made).append(f"git {repo}")
        except EvoguardError:
            unknown.append(repo)
    return Probe(tuple(refused), tuple(made), tuple(unknown))


async def _row_refused(writer: SqliteFlags, state: FlagState, epoch: int) -> bool:
    try:
        await writer.write(replace(state, enabled=False, percent=0, lease_until=0, epoch=epoch))
    except FencedError:
        return True
    return False


def file(settings: Settings, report: KillReport) -> None:
    """Write down who knew, when the database lets us: a kill never waits for it."""
    if report.clients is None or not report.latch.id:
        return
    latch, said = report.latch, report.clients
    body = {"kill": latch.id, "epoch": latch.epoch, **said.as_json()}
    text = said.fault or f"acknowledged {len(said.told)} of {said.asked}"
    event = Event("kill.acknowledged", body, actor=latch.by, reason=text)
    with suppress(EvoguardError, sqlite3.Error), closing(db.connect(settings.database, busy_s=0.5)) as con:
        SqliteRegistry(con, SystemClock(lambda: event_log.floor_ms(con))).append("kills", event)
