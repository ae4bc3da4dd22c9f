"""The kill command, wired: no LangGraph, no wasmtime, no web framework, and no step that needs the database."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import subprocess
import threading
import time
import urllib.error
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path

from evoguard import kill
from evoguard.adapters import keys, latch_files, loopback
from evoguard.adapters.git.epochs import Epochs
from evoguard.adapters.git.forge import GitForge
from evoguard.adapters.git.stop import Order, stop
from evoguard.adapters.signer import LocalSigner, new_nonce, sign_command
from evoguard.adapters.sqlite import db
from evoguard.adapters.sqlite.flags import SqliteFlags
from evoguard.adapters.way_back import BundleFolder, WaysBackOnGit
from evoguard.domain.flag import FlagState
from evoguard.domain.identity import Command, Identity
from evoguard.domain.latch import Latch, LatchBoard, Scope
from evoguard.domain.way_back import WayBack
from evoguard.errors import ConfigError, EvoguardError, UnavailableError
from evoguard.settings import Settings
from evoguard.wiring import after_kill
from evoguard.wiring import flags as flag_wiring
from evoguard.wiring.going_back import go_back

SIGNED_LIFE_S = 300
REPLY_BYTES = 1 << 24
FILE_S = 2.0
"""How long the command waits for the log to take what was seen after the kill."""
AT_ONCE = 16
"""Flags that are turned off at an Unleash server at the same time."""


async def run_kill(
    settings: Settings, *, scope: Scope, name: str, reason: str, by: str = "", key: Path | None = None
) -> kill.KillReport:
    """Stop everything in scope now; signed with a person's key it also quarantines the author.

    A key that cannot be read makes it an unsigned kill. Raises: InputError for an order that is not understood.
    """
    now = int(time.time())
    who = by or account()
    signed = ""
    if key is not None:
        command = Command("kill", f"{scope}:{name}", who, new_nonce(), now + SIGNED_LIFE_S, reason)
        with suppress(EvoguardError):  # a kill without a readable key is still a kill: unsigned, it holds the author
            signed = sign_command(command, keys.load_private(key))
    report = await kill.kill(_parts(settings), scope=scope, name=name, reason=reason, by=who, now=now, signed=signed)
    filing = threading.Thread(target=after_kill.file, args=(settings, report), name="kill-filed", daemon=True)
    filing.start()
    await asyncio.to_thread(filing.join, FILE_S)  # a disk that hangs keeps no kill
    return report


async def run_lift(settings: Settings, *, kill_id: str, person: str, key: Path) -> kill.LiftReport:
    """File one person's lift of a kill; two people's lift it. Raises: AuthError, InputError, UnavailableError."""
    latches = flag_wiring.latches(settings)
    now = int(time.time())
    envelope = sign_command(Command("lift", kill_id, person, new_nonce(), now + SIGNED_LIFE_S), keys.load_private(key))

    async def identity(name: str) -> Identity | None:
        return flag_wiring.identity(settings, name)

    def board() -> LatchBoard:
        """An automatic abort holds its author as a kill does, and is lifted in the same way; it is no latch."""
        if not kill_id.startswith("abort-ch-"):
            return latches.board()
        if not _holds(settings, kill_id):
            return LatchBoard()
        lifted = len(latches.lifters(kill_id)) >= kill.PEOPLE_TO_LIFT
        return LatchBoard((Latch(kill_id, 0, "component", "", "automatic abort", "evoguard", 0, lifted=lifted),))

    parts = kill.LiftParts(
        board=board,
        lifters=latches.lifters,
        identity=identity,
        signer=LocalSigner(None, settings.service_pub.read_bytes()),
        write=lambda kill_id, who, env: latch_files.write_lift(settings.kill_dir, kill_id, who, env),
    )
    return await kill.lift(parts, kill_id=kill_id, envelope=envelope, by=person, now=now)


def _holds(settings: Settings, kill_id: str) -> bool:
    """Tell whether an author is held under this id. Raises: UnavailableError while the database gives no answer."""
    con = db.connect(settings.database, busy_s=1.0)
    try:
        return con.execute("select 1 from holds where kill_id=?", (kill_id,)).fetchone() is not None
    finally:
        con.close()


async def _off_in_the_record(settings: Settings, latch: Latch) -> None:
    """Turn off every flag that the latch covers, then pin their known-good versions; all are tried.

    Raises: the first error.
    """
    con = db.connect(settings.database, busy_s=0.5)
    found, failed = list[FlagState | None](), list[Exception]()
    try:
        writer = SqliteFlags(con, flag_wiring.latches(settings))
        for flag, component in con.execute("select flag, component from flags").fetchall():
            if latch.covers(component=component, flag=flag):
                try:
                    await writer.off(flag)
                    found.append(await writer.read(flag))
                except (EvoguardError, sqlite3.Error) as err:
                    failed.append(err)  # one that cannot be turned off keeps no other one on
    finally:
        con.close()
        go_back(settings, found)  # last: every flag that can be is off by now
    if failed:
        raise failed[0]


def _parts(settings: Settings) -> kill.KillParts:
    served = _served(settings)

    def write(asked: Latch) -> Latch:
        return latch_files.write_latch(settings.kill_dir, asked, floor=_epoch_floor(settings), known=_known(settings))

    async def off(latch: Latch) -> None:
        """Turn off in the record and at the Unleash server, which cannot see the latch; neither waits for the other."""
        there = asyncio.to_thread(_off_at_unleash, settings, latch, served)
        for result in await asyncio.gather(there, _off_in_the_record(settings, latch), return_exceptions=True):
            if isinstance(result, BaseException):
                raise result

    async def acknowledge(latch: Latch) -> kill.Acknowledgement:
        return _acknowledgement(settings, latch, served)

    async def revert(latch: Latch) -> tuple[str, ...]:
        return await _revert(settings, latch, served)

    began_ms = int(time.time() * 1000)
    return kill.KillParts(
        latches=write, flags_off=off, acknowledge=acknowledge, revert=revert,
        clients=lambda latch: after_kill.call(settings, latch, served, began_ms=began_ms),
        probe=lambda latch: after_kill.probe(settings, latch),
    )  # fmt: skip


def _off_at_unleash(settings: Settings, latch: Latch, served: dict[str, str]) -> None:
    """Turn covered flags off at the Unleash server, if there is one. Raises: ConfigError, UnavailableError."""
    if not settings.unleash_url:
        return
    from evoguard.wiring import unleash  # a kill without such a server loads nothing of it

    at = unleash.server(settings)
    if at is None:
        return
    named = [flag for flag, component in served.items() if latch.covers(component=component, flag=flag)]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        asked = [pool.submit(at.off, flag) for flag in named]
    failed = [err for one in asked if (err := one.exception()) is not None]
    if failed:  # the flag server of the guard goes on trying
        raise failed[0]


def _epoch_floor(settings: Settings) -> int:
    """Return the highest epoch that any repository was raised to: a deleted latch file must not reset the count."""
    with suppress(EvoguardError):  # raised before any repository is, so it answers for all of them
        return Epochs(settings.repos_dir).floor()
    highest = 0
    for ref in settings.repos_dir.glob("*.git/refs/evoguard/epoch"):
        with suppress(OSError, ValueError, subprocess.SubprocessError):
            blob = ref.read_text(encoding="ascii").strip()
            command = ["git", f"--git-dir={ref.parents[2]}", "cat-file", "blob", blob]
            raw = subprocess.run(command, capture_output=True, check=True, timeout=0.5, env={"PATH": os.defpath}).stdout
            highest = max(highest, int(raw.split()[-1]))
    return highest


def _known(settings: Settings) -> tuple[Latch, ...]:
    with suppress(EvoguardError, sqlite3.Error):
        return flag_wiring.known_kills(settings)
    return ()


def _served(settings: Settings) -> dict[str, str]:
    """Return flag → component from the flag server's own copy, which is there when the database is not."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return {str(row["flag"]): str(row["component"]) for row in _copied(settings)}
    return {}


def _shown(settings: Settings) -> dict[str, str]:
    """Return component → the commit that its flag shows, by the database, else by the flag server's own copy."""
    with suppress(EvoguardError, sqlite3.Error):
        con = db.connect(settings.database, busy_s=0.05)
        try:
            return {str(row[0]): str(row[1]) for row in con.execute("select component, candidate from flags")}
        finally:
            con.close()
    with suppress(OSError, ValueError, KeyError, TypeError):
        return {str(row["component"]): str(row["candidate"]) for row in _copied(settings)}
    return {}


def _copied(settings: Settings) -> list[dict[str, str]]:
    """Return the rows of the flag server's own copy. Raises: OSError, ValueError, KeyError, TypeError."""
    doc = json.loads((settings.state / flag_wiring.COPY).read_text(encoding="utf-8"))
    rows: list[dict[str, str]] = doc["flags"] if isinstance(doc, dict) else doc
    return rows


def bundles(settings: Settings) -> BundleFolder:
    """Return the folder of revert bundles; it needs no database. Raises: ConfigError without the service's key."""
    try:
        public = settings.service_pub.read_bytes()
    except OSError as err:
        raise ConfigError("the service's public key is missing", code="key.service_missing") from err
    return BundleFolder(settings.way_back_dir, settings.service_key, public)


def ways_back(settings: Settings) -> WaysBackOnGit:
    """Return the bundles together with the repositories that they are put on. Raises: ConfigError."""
    return WaysBackOnGit(bundles(settings), settings.repos_dir)


def _acknowledgement(settings: Settings, latch: Latch, served: dict[str, str]) -> kill.Acknowledgement:
    """Ask the flag server what it serves as off, until it has seen this kill or the time-box is over."""
    url, token = f"{settings.flags_url}/internal/off", flag_wiring.token(settings, "flags.read")
    for _ in range(60):
        try:
            doc = json.loads(loopback.get(url, token=token, wait_s=1.0, most=REPLY_BYTES))
        except urllib.error.HTTPError as err:
            raise UnavailableError("flags", f"the flag server refused: {err.code}") from err
        except (OSError, ValueError) as err:
            raise UnavailableError("flags", "the flag server does not answer") from err
        if int(doc["epoch"]) >= latch.epoch:
            off = tuple(r["flag"] for r in doc["off"] if latch.covers(component=r["component"], flag=r["flag"]))
            on = tuple(f for f in doc["on"] if latch.covers(component=served.get(f, ""), flag=f))
            return kill.Acknowledgement(off, on, int(doc["epoch"]))
        time.sleep(0.05)
    return kill.Acknowledgement((), (), int(doc["epoch"]))


async def _revert(settings: Settings, latch: Latch, served: dict[str, str]) -> tuple[str, ...]:
    """Raise the epoch wherever something may be published, and bring covered components back to known-good."""
    reason = f"kill {latch.id} by {latch.by}: {latch.reason}"
    ways: tuple[WayBack, ...] = ()
    with suppress(EvoguardError):
        ways = bundles(settings).every()[0]
    served = {**{way.off.flag: way.component for way in ways}, **served}
    shown = _shown(settings)
    order = Order(latch.epoch, lambda component: _covered(latch, component, served), reason, ways,
                  partial(_taken_back, settings), lambda component: shown.get(component, ''))  # fmt: skip
    done = await stop(GitForge(settings.repos_dir), order)
    if done.failed:
        raise UnavailableError(
            "git",
            f"{'; '.join(done.failed[:20])} (reverted: {len(done.reverted)})",
            fix="revert by hand; it stays latched",
        )
    return tuple(done.reverted)


async def _taken_back(settings: Settings, way: WayBack) -> str:
    return await ways_back(settings).take_back(way.digest, change=way.change, commit=way.commit)


def _covered(latch: Latch, component: str, served: dict[str, str]) -> bool:
    flags = [flag for flag, owner in served.items() if owner == component] or [""]
    return any(latch.covers(component=component, flag=flag) for flag in flags)


def account() -> str:
    """Return the name of the account that this runs under."""
    import pwd

    with suppress(KeyError):
        return pwd.getpwuid(os.getuid()).pw_name
    return f"uid-{os.getuid()}"
