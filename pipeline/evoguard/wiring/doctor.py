"""Every part looked at: its version, its digest where it has one, and ok or the mend. Changes nothing but a cache."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import platform
import shutil
import sqlite3
import stat
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from evoguard import __version__, bundle
from evoguard.adapters import go_tools, keys, loopback, state_folder, tool_cache
from evoguard.adapters.scanners import engine
from evoguard.adapters.signer import LocalSigner
from evoguard.adapters.sqlite import db, event_log, roots
from evoguard.domain.canonical import Digest, Json, digest_of
from evoguard.errors import EvoguardError
from evoguard.settings import Settings
from evoguard.wiring import flags as flag_wiring
from evoguard.wiring import unleash
from evoguard.wiring.drill import last_drill
from evoguard.wiring.kill import bundles
from evoguard.wiring.rulebook import bundle_in_force, opa_ready
from evoguard.wiring.sandbox import room_of_a_call
from evoguard_sandbox import SandboxError, prove
from evoguard_sandbox.rooms import cgroups

THREAT_MODEL = "code under the guard's own uid is outside the threat model: give the guard an account of its own"
OLDEST_GIT = (2, 30)
DRILL_DAYS = 30
"""A rehearsal that is older than this says little about today."""
START = "start `evoguard serve`"


@dataclass(frozen=True, slots=True)
class Part:
    """One part. `needed`: without it the guard does not do its work; else it is only said."""

    name: str
    ok: bool
    version: str = ""
    digest: str = ""
    detail: str = ""
    mend: str = ""
    needed: bool = True

    def as_json(self) -> dict[str, Json]:
        """Return the part as plain JSON; `standing` is `ok`, `off` or `MEND`."""
        return {
            "name": self.name,
            "ok": self.ok,
            "standing": "ok" if self.ok else ("MEND" if self.needed else "off"),
            "version": self.version,
            "digest": self.digest,
            "detail": self.detail,
            "mend": "" if self.ok else self.mend,
            "needed": self.needed,
        }


async def examine(settings: Settings, *, start: bool = True) -> dict[str, Json]:
    """Look at every part; with `start`, start one sandbox and have it prove gVisor. A part never raises."""
    parts = await asyncio.to_thread(lambda: [part for look in _LOOKS for part in _safely(look, settings)])
    parts.insert(3, await _gvisor(settings, start=start))
    return {
        "ok": all(part.ok for part in parts if part.needed),
        "version": __version__,
        "state": str(settings.state),
        "parts": [part.as_json() for part in parts],
        "threat_model": THREAT_MODEL,
    }


def _state(settings: Settings) -> Iterator[Part]:
    """Look at the parts of a state folder; without one there is a single thing to say of them all."""
    if not (settings.state / "VERSION").exists():
        detail = f"{settings.state} is no state folder yet"
        yield Part("state folder", ok=False, detail=detail, mend=f"evoguard init --state {settings.state}")
        return
    for look in (_state_folder, _service_key, _database, _kill_folder):
        yield from _safely(look, settings)


def _safely(look: Callable[[Settings], Iterable[Part]], settings: Settings) -> list[Part]:
    name = look.__name__.strip("_").replace("_", " ")
    try:
        return list(look(settings))
    except EvoguardError as err:
        return [Part(name, ok=False, detail=err.message, mend=err.fix)]
    except (OSError, ValueError, sqlite3.Error, subprocess.SubprocessError) as err:
        return [Part(name, ok=False, detail=f"{type(err).__name__}: {str(err)[:200]}", mend="check its path and owner")]


def _python(_: Settings) -> Iterator[Part]:
    yield Part("python", ok=True, version=platform.python_version(), detail=platform.python_implementation())


def _evoguard(_: Settings) -> Iterator[Part]:
    yield Part("evoguard", ok=True, version=__version__, detail=str(Path(__file__).resolve().parents[1]))


def _git(_: Settings) -> Iterator[Part]:
    found = shutil.which("git", path="/usr/local/bin:/usr/bin:/bin")
    if found is None:
        yield Part("git", ok=False, detail="not found", mend="apt-get install git")
        return
    said = subprocess.run([found, "--version"], capture_output=True, text=True, timeout=10, check=True, env={}).stdout
    version = said.removeprefix("git version ").split()[0]
    numbers = tuple(int(n) for n in version.split(".")[:2] if n.isdigit())
    mend = f"install git {OLDEST_GIT[0]}.{OLDEST_GIT[1]} or newer"
    yield Part("git", ok=numbers >= OLDEST_GIT, version=version, detail=found, mend=mend)


async def _gvisor(settings: Settings, *, start: bool) -> Part:
    """Find runsc; a version line proves nothing, so a sandbox is started and must show gVisor's kernel."""
    version = ""
    try:
        runsc = tool_cache.runsc_path(settings.runsc)
        with room_of_a_call(settings) as room:
            version = room.runsc_version
            digest = await asyncio.to_thread(_file_digest, runsc)
            if not start:
                return Part("runsc", ok=True, version=version, digest=digest, detail=f"{runsc}; found, not started")
            proof, image = await prove(room), room.image
    except (EvoguardError, SandboxError) as err:
        return Part("runsc", ok=False, version=version, detail=err.message, mend=err.fix)
    except OSError as err:
        return Part("runsc", ok=False, version=version, detail=str(err)[:200], mend=tool_cache.MEND)
    shown = f"kernel {proof.kernel}, limits {proof.limits_mode}, behaviour {proof.behaviour}, {proof.wall_ms} ms"
    shown += f", image {image}"
    detail = f"{runsc}; proved: {shown}"
    return Part("runsc", ok=True, version=version, digest=digest, detail=detail)


def _host_limits(settings: Settings) -> Iterator[Part]:
    """Look whether the host's kernel can hold memory and tasks; without it the guest's own limits are all there is."""
    why = "" if settings.docker_url else cgroups.unwritable()
    mend = "run the worker as root where /sys/fs/cgroup can be written; in a container: with a writable cgroup mount"
    detail = why or ("held by the engine" if settings.docker_url else "memory and tasks are held by cgroups")
    yield Part("host limits", ok=not why, detail=detail, mend=mend, needed=False)


def _runner_layer(settings: Settings) -> Iterator[Part]:
    layer = tool_cache.layer_dir(settings.layer)
    there = (layer / "pytest" / "__init__.py").is_file()
    version = next((p.name.split("-")[1].removesuffix(".dist") for p in sorted(layer.glob("pytest-*.dist-info"))), "")
    loose = bool(stat.S_IMODE(layer.stat().st_mode) & 0o022)
    detail = f"{layer}" + ("; can be written by others" if loose else "") + ("" if there else "; no pytest in it")
    yield Part(
        "runner layer",
        ok=there and not loose,
        version=f"pytest {version}",
        digest=_tree_digest(layer),
        detail=detail,
        mend=tool_cache.MEND,
    )


def _scanner(_: Settings) -> Iterator[Part]:
    layer = tool_cache.semgrep_dir()
    yield Part("scanner", ok=True, version=engine.NAME, digest=engine.verify(layer), detail=str(layer))


def _author_tools(_: Settings) -> Iterator[Part]:
    """Look for what authors of rules use; nothing of it is needed to judge."""
    for name, tool in go_tools.known().items():
        if name in ("opa", "regal"):
            there, other = go_tools.built(tool), shutil.which(name)
            detail = str(
                there or f"{other} on PATH, of whatever version" if other else "missing; only authors of rules need it"
            )
            mend = f"evoguard tools get {name}"
            yield Part(name, ok=bool(there or other), version=tool.version if there else "", detail=detail, mend=mend,
                       needed=False)  # fmt: skip


def _policies(settings: Settings) -> Iterator[Part]:
    manifest = bundle.load().manifest
    detail = f"{len(manifest.rules)} rules, {len(manifest.tests)} tests"
    yield Part("policy bundle", ok=True, version=f"OPA {manifest.opa_version}", digest=manifest.digest, detail=detail)
    found = bundle_in_force(settings).manifest
    if found.digest != manifest.digest:
        detail = f"{len(found.rules)} rules, put in force here; the shipped constitution holds over them"
        yield Part("rules in force", ok=True, version=f"OPA {found.opa_version}", digest=found.digest, detail=detail)
    if settings.opa_url:
        yield Part("OPA server", ok=True, digest=opa_ready(settings), detail=f"judges at {settings.opa_url}")
    sources = Path(__file__).resolve().parents[3] / "policies"
    if sources.is_dir():
        stale = bundle.stale_sources(sources)
        detail = f"{len(stale)} differ: {stale[0]}" if stale else "the sources beside this checkout are the bundle's"
        yield Part("policy sources", ok=not stale, detail=detail, mend=bundle.MEND)


def _state_folder(settings: Settings) -> Iterator[Part]:
    state_folder.check(settings.state)
    version = (settings.state / "VERSION").read_text(encoding="ascii").strip()
    mode = stat.S_IMODE(settings.state.stat().st_mode)
    closed = not mode & 0o077
    detail = f"{settings.state}, mode {mode:04o}"
    yield Part("state folder", ok=closed, version=version, detail=detail, mend=f"chmod 700 {settings.state}")
    tokens = settings.state / "tokens.json"
    yield _private("tokens", tokens)


def _service_key(settings: Settings) -> Iterator[Part]:
    yield _private("service key", settings.service_key)
    private = keys.load_private(settings.service_key)
    public = keys.load_public(settings.service_pub.read_bytes())
    same = keys.fingerprint(private.public_key()) == keys.fingerprint(public)
    detail = "belongs to the private key" if same else "does NOT belong to the private key"
    yield Part("service public key", ok=same, digest=keys.fingerprint(public), detail=detail, mend="restore the pair")


def _database(settings: Settings) -> Iterator[Part]:
    with closing(db.connect(settings.database, busy_s=2.0)) as con:
        layout = con.execute("pragma user_version").fetchone()[0]
        wal = con.execute("pragma journal_mode").fetchone()[0]
        checked = [str(row[0]) for row in con.execute("pragma quick_check(5)")]
        version = f"layout {layout}, SQLite {sqlite3.sqlite_version}"
        good = checked == ["ok"] and wal == "wal"
        mend = "stop evoguard and restore the state folder from a backup"
        yield Part("database", ok=good, version=version, detail=f"journal {wal}, quick_check {checked[0]}", mend=mend)
        yield _clock(event_log.floor_ms(con))
        yield _event_log(con, settings)


def _event_log(con: sqlite3.Connection, settings: Settings) -> Part:
    """Compare the newest root in database, file and log; the whole proof is `audit verify`, with a key from outside."""
    events, changes = (con.execute(f"select count(*) from {t}").fetchone()[0] for t in ("events", "changes"))  # noqa: S608  (two names of ours)
    detail = f"{events} events, {changes} changes"
    try:
        signer = LocalSigner(None, settings.service_pub.read_bytes())
        root = asyncio.run(roots.newest(con, signer, settings.state / roots.FILE))  # this runs in a thread of its own
    except (EvoguardError, OSError) as err:
        code, fix = (err.code, err.fix) if isinstance(err, EvoguardError) else ("key.missing", "restore the pair")
        return Part("event log", ok=False, detail=f"{detail}; {code}: {err}", mend=fix or "see `evoguard audit verify`")
    return Part("event log", ok=True, detail=f"{detail}, {f'signed up to {root.seq}' if root else 'not signed yet'}")


def _clock(floor_ms: int) -> Part:
    behind_s = max(0, floor_ms - int(time.time() * 1000)) / 1000
    detail = f"{behind_s:.1f} s behind the newest event" if behind_s else "not behind the newest event"
    mend = "set the clock (`chronyc makestep`); until then the log's clock stands still"
    return Part("clock", ok=behind_s < 2.0, detail=detail, mend=mend)


def _kill_folder(settings: Settings) -> Iterator[Part]:
    folder, lifts = settings.kill_dir, settings.kill_dir / "lifts"
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, lifts)]
    good = all(mode & 0o770 == 0o770 and not mode & 0o002 for mode in modes)
    detail = f"{folder}, mode {modes[0]:04o}, lifts {modes[1]:04o}, group {folder.stat().st_gid}"
    yield Part("kill folder", ok=good, detail=detail, mend=f"chmod 770 {folder} {lifts}")
    board = flag_wiring.latches(settings).board()
    active = [
        f"{latch.id} ({latch.scope} {latch.name})".replace(" )", ")")
        for latch in board.latches
        if not (latch.lifted or latch.is_drill)
    ]
    if board.unreadable:
        text = f"EVERYTHING IS KILLED: unreadable: {', '.join(board.unreadable)}"
        yield Part("kills", ok=False, detail=text, mend=f"read, then remove, the file in {folder}; kills in force stay")
    else:
        yield Part("kills", ok=True, detail=f"epoch {board.epoch}, in force: {', '.join(active) or 'none'}")


def _ways_back(settings: Settings) -> Iterator[Part]:
    """Look at revert bundles: each must prove, and git must owe none."""
    if not (settings.state / "VERSION").exists():
        return
    folder = bundles(settings)
    good, bad = folder.every()
    owed = folder.owed()
    detail = f"{len(good)} releases can be taken back"
    if bad:
        detail += f"; {len(bad)} NOT AS SIGNED: {bad[0]}"
    if owed:
        detail += f"; GIT OWES {len(owed)} REVERTS: {owed[0].why}"
    mend = "withdraw the release whose bundle is not as signed" if bad else "see `evoguard show`; the worker goes on"
    yield Part("ways back", ok=not (bad or owed), detail=detail, mend=mend)


def _kill_drill(settings: Settings) -> Iterator[Part]:
    """Look when the kill was last rehearsed; a rehearsal that failed is to be mended at once."""
    if not (settings.state / "VERSION").exists():
        return
    mend, found = "evoguard drill", last_drill(settings)
    if found is None:
        yield Part("kill drill", ok=False, detail="the kill was never rehearsed here", mend=mend, needed=False)
        return
    at_ms, drill = found
    days = max(0.0, time.time() - at_ms / 1000) / 86_400
    shown = drill["fault"] or f"a streaming client was told in {drill['stream_off_ms']} ms"
    good, new = not drill["fault"], days <= DRILL_DAYS
    detail = f"{days:.1f} days ago: {shown}"
    yield Part("kill drill", ok=good and new, detail=detail, mend=mend, needed=not good)


def _flag_server(settings: Settings) -> Iterator[Part]:
    try:
        doc = json.loads(loopback.get(f"{settings.flags_url}/health", wait_s=1.5, most=65_536))
    except (OSError, ValueError) as err:
        yield Part("flag server", ok=False, detail=f"{settings.flags_url}: {str(err)[:100]}", mend=START, needed=False)
        return
    detail = f"{settings.flags_url}, reads the database: {str(bool(doc.get('database'))).lower()}"
    yield Part("flag server", ok=True, detail=detail, needed=False)


def _unleash(settings: Settings) -> Iterator[Part]:
    """Tell whether the Unleash server of the settings takes our token; nothing without one."""
    try:
        at = unleash.server(settings)
        if at is not None:
            at.served(unleash.PROBE)
    except EvoguardError as err:
        yield Part("Unleash server", ok=False, detail=f"{settings.unleash_url}: {err.message[:100]}", mend=err.fix)
        return
    if at is not None:
        yield Part("Unleash server", ok=True, detail=f"{settings.unleash_url}, a kill takes as long as its SDKs poll")


def _sdk_counters(settings: Settings) -> Iterator[Part]:
    """Tell of which flags SDKs' own counters are taken; nothing where no operator named any."""
    if named := flag_wiring.named_counters(settings):
        yield Part("SDK counters", ok=True, detail=f"self-reported, of {', '.join(named)}"[:200])


def _worker(settings: Settings) -> Iterator[Part]:
    holder = lock_holder(settings.state / "worker.lock")
    detail = f"process {holder}" if holder else "no process holds the worker's lock"
    yield Part("worker", ok=bool(holder), detail=detail, mend=START, needed=False)


def lock_holder(path: Path) -> int:
    """Return the process that holds a file's lock, or 0; looked up, never tried: a starting worker is not upset."""
    with suppress(OSError):
        inode = path.stat().st_ino
        for row in Path("/proc/locks").read_text(encoding="ascii").splitlines():
            words = row.split()
            if len(words) >= 6 and words[1] == "FLOCK" and words[5].rpartition(":")[2] == str(inode):
                return max(0, int(words[4]))
    return 0


def _file_digest(path: Path) -> Digest:
    with path.open("rb") as file:
        return Digest(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")


def _tree_digest(folder: Path) -> Digest:
    """Return one digest of every file's name and content; compiled files, which Python writes by itself, left out."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and p.suffix != ".pyc")
    return digest_of([[path.relative_to(folder).as_posix(), _file_digest(path)] for path in files])


def _private(name: str, path: Path) -> Part:
    found = path.stat()
    mode = stat.S_IMODE(found.st_mode)
    good = not mode & 0o077 and found.st_uid in (os.geteuid(), 0)
    return Part(name, ok=good, detail=f"{path.name}, mode {mode:04o}, owner {found.st_uid}", mend=f"chmod 600 {path}")


_LOOKS: tuple[Callable[[Settings], Iterable[Part]], ...] = (
    _python, _evoguard, _git, _host_limits, _runner_layer, _scanner, _policies, _author_tools, _state, _flag_server,
    _unleash, _sdk_counters, _ways_back, _kill_drill, _worker,
)  # fmt: skip
