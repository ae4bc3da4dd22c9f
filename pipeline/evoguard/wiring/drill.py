"""A rehearsal of the kill on a flag of its own: the very command, its latch, the server's push, and a forbidden write.

What is proved is the way from an order to a listening client on this machine, not what a service does with the flag.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import secrets
import sqlite3
import threading
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urlsplit

from evoguard.adapters import loopback
from evoguard.adapters.clock import SystemClock
from evoguard.adapters.sqlite import db, event_log
from evoguard.adapters.sqlite.flags import SqliteFlags
from evoguard.adapters.sqlite.registry import SqliteRegistry
from evoguard.domain.canonical import Json
from evoguard.domain.events import Event
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import DRILL_FLAG
from evoguard.errors import EvoguardError, FencedError, InputError, UnavailableError
from evoguard.settings import Settings
from evoguard.wiring import flags as flag_wiring
from evoguard.wiring.kill import run_kill

COMPONENT, CHANGE, NOTHING = "evoguard-drill", "drill", "0" * 40
WAIT_S = 10.0
LEASE_S = 60
"""A rehearsal that dies in the middle leaves a flag that goes off by itself; no code asks for it anyway."""
EVENT = "kill.drilled"
NAMED = {"unleash-appname": COMPONENT, "unleash-instanceid": "listener", "unleash-connection-id": secrets.token_hex(8)}
"""Who listens: the kill calls it by name, as it calls every client."""


@dataclass(frozen=True, slots=True)
class Drill:
    """What a rehearsal showed. Milliseconds from the order; -1 for what was not seen in time."""

    flag: str
    kill: str
    stream_off_ms: int
    """Until a client that streams was told."""
    poll_off_ms: int
    """Until a client that asked again was told."""
    acknowledged: bool
    """The flag server said that it serves the flag as off."""
    refused: bool
    """Turning the flag on again was refused."""
    steps: tuple[tuple[str, str, int], ...] = ()
    """The kill's own steps: name, status, milliseconds."""

    @property
    def fault(self) -> str:
        """Return what did not hold, or an empty text."""
        faults = {
            "the latch was not written": not self.kill,
            "a streaming client was not told": self.stream_off_ms < 0,
            "a polling client was not told": self.poll_off_ms < 0,
            "the flag server did not confirm it": not self.acknowledged,
            "THE FLAG COULD BE TURNED ON AGAIN": not self.refused,
        }
        return "; ".join(text for text, is_so in faults.items() if is_so)

    def as_json(self) -> dict[str, Json]:
        """Return the rehearsal as plain JSON."""
        steps: list[Json] = [{"name": name, "status": status, "ms": ms} for name, status, ms in self.steps]
        told = {key: value for key, value in asdict(self).items() if key != "steps"}
        return {**told, "ok": not self.fault, "fault": self.fault, "steps": steps}


async def run_drill(settings: Settings, *, by: str) -> Drill:
    """Open a flag that nobody asks for, kill it, and tell what a client saw and when; the log keeps it.

    Raises: InputError (`drill.killed`) while everything is killed already; UnavailableError when no client sees the
    flag on, so that nothing could be rehearsed.
    """
    flag = f"{DRILL_FLAG}{secrets.token_hex(6)}"
    epoch = await _open(settings, flag)
    client = Client(settings.flags_url, flag_wiring.token(settings, "flags.read"), flag)
    try:
        await asyncio.to_thread(client.until, True, WAIT_S)
        began = time.monotonic()
        report = await run_kill(settings, scope="flag", name=flag, reason="a drill", by=by)
        stream_off = await asyncio.to_thread(client.until, False, WAIT_S)
        poll_off = await asyncio.to_thread(client.polled_off, WAIT_S)
    finally:
        client.close()
        await _off(settings, flag)
    done = Drill(
        flag=flag,
        kill=report.latch.id,
        stream_off_ms=_since(began, stream_off),
        poll_off_ms=_since(began, poll_off),
        acknowledged=flag in report.confirmed,
        refused=await _refused(settings, flag, (epoch, report.latch.epoch)),
        steps=tuple((step.name, step.status, step.ms) for step in report.steps),
    )
    with closing(db.connect(settings.database, busy_s=5.0)) as con:
        event = Event(EVENT, done.as_json(), actor=by, reason=done.fault or "the kill works")
        SqliteRegistry(con, SystemClock(lambda: event_log.floor_ms(con))).append("kills", event)
    return done


def last_drill(settings: Settings) -> tuple[int, dict[str, Any]] | None:
    """Return when the newest rehearsal was (unix milliseconds) and what it showed; None when there was none.

    Raises: UnavailableError, IntegrityError.
    """
    with closing(db.connect(settings.database, busy_s=1.0, read_only=True)) as con:
        row = con.execute(
            "select at, body from events where stream='kills' and type=? order by version desc limit 1", (EVENT,)
        ).fetchone()
    return (int(row[0]), json.loads(row[1])) if row else None


def _since(began: float, at: float | None) -> int:
    return -1 if at is None else max(0, round((at - began) * 1000))


async def _open(settings: Settings, flag: str) -> int:
    """Serve the flag as on and return the epoch that this was decided under."""
    latches = flag_wiring.latches(settings)
    board = latches.board()
    if board.unreadable or board.killed(component=COMPONENT, flag=flag):
        raise InputError("everything is killed, so there is nothing to rehearse", code="drill.killed",
                         fix="`evoguard status` shows by what")  # fmt: skip
    state = _state(flag, board.epoch)
    with closing(db.connect(settings.database, busy_s=5.0)) as con:
        await SqliteFlags(con, latches).write(state)
    return board.epoch


async def _off(settings: Settings, flag: str) -> None:
    """Leave nothing on, also when the rehearsal ended early; a database that is silent leaves it to the lease."""
    with suppress(EvoguardError, sqlite3.Error), closing(db.connect(settings.database, busy_s=1.0)) as con:
        await SqliteFlags(con, flag_wiring.latches(settings)).off(flag)


async def _refused(settings: Settings, flag: str, epochs: tuple[int, ...]) -> bool:
    """Tell whether turning it on is refused, whatever epoch the writer believes to be in."""
    for epoch in epochs:
        with closing(db.connect(settings.database, busy_s=5.0)) as con:
            try:
                await SqliteFlags(con, flag_wiring.latches(settings)).write(_state(flag, epoch))
            except FencedError:
                continue
        return False
    return True


def _state(flag: str, epoch: int) -> FlagState:
    until = int(time.time()) + LEASE_S
    return FlagState(flag, COMPONENT, CHANGE, True, 100, NOTHING, NOTHING, until, epoch)


class Client:
    """Listens to the stream in a thread of its own, as an SDK does, and remembers when one flag was on and off."""

    def __init__(self, url: str, token: str, flag: str) -> None:
        parts = urlsplit(url)
        self._url, self._token, self._flag = url, token, flag
        self._seen: dict[bool, float] = {}
        self._changed = threading.Condition()
        self._over = False
        self._fault = ""
        self._stream = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=WAIT_S + 5)
        threading.Thread(target=self._listen, name="drill", daemon=True).start()

    def until(self, on: bool, wait_s: float) -> float | None:
        """Return when the flag was seen so (`time.monotonic`), None when it was not in time.

        Raises: UnavailableError when it was never on, for then nothing is rehearsed.
        """
        with self._changed:
            self._changed.wait_for(lambda: on in self._seen or self._over, wait_s)
            if on and True not in self._seen:
                why = self._fault or "its stream does not show the flag"
                raise UnavailableError("flags", f"no drill: {why}", fix="start `evoguard serve`, then drill again")
            return self._seen.get(on)

    def polled_off(self, wait_s: float) -> float | None:
        """Ask until the flag is served as off; return when it was."""
        end = time.monotonic() + wait_s
        while time.monotonic() < end:
            with suppress(OSError, ValueError, http.client.HTTPException):
                if not self._polled():
                    return time.monotonic()
            time.sleep(0.02)
        return None

    def close(self) -> None:
        """Stop listening."""
        with suppress(OSError):
            self._stream.close()

    def _polled(self) -> bool:
        doc = json.loads(loopback.get(f"{self._url}/api/client/features", token=self._token, wait_s=2, most=1 << 24))
        return any(one["enabled"] for one in doc["features"] if one["name"] == self._flag)

    def _listen(self) -> None:
        try:
            self._stream.request("GET", "/api/client/streaming", headers={"Authorization": self._token, **NAMED})
            answer = self._stream.getresponse()
            if answer.status != 200:
                self._fault = f"the flag server refused: {answer.status}"
                return
            for line in iter(answer.readline, b""):
                if line.startswith(b"data: "):
                    self._note(json.loads(line[6:])["events"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError, http.client.HTTPException) as err:
            self._fault = self._fault or f"the flag server does not stream ({type(err).__name__})"
        finally:
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _note(self, events: list[dict[str, Any]]) -> None:
        shown = [one for event in events for one in (*event.get("features", ()), event.get("feature") or {})]
        with self._changed:
            for one in shown:
                if one.get("name") == self._flag:
                    self._seen.setdefault(bool(one["enabled"]), time.monotonic())
            self._changed.notify_all()
