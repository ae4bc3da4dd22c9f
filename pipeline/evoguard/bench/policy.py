"""What judging costs: one decision with the whole catalogue, rules that run away, and the past asked again.

Baseline of a decision: the same question to an OPA server with the same bundle on loopback, in the same run, in turn.
Without OPA at hand there is no baseline, and rules that run away are not tried; a figure says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import shutil
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from evoguard import bundle
from evoguard.adapters.opa_server import OpaServerPolicies
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.adapters.sqlite import db, event_log
from evoguard.authoring.exporting import exported
from evoguard.authoring.opa import MEND
from evoguard.bench import Figure, runaway
from evoguard.bench.asked import question
from evoguard.domain.canonical import Digest, Json, canonical, digest_of
from evoguard.domain.events import Event
from evoguard.errors import EvoguardError, UnavailableError
from evoguard.settings import Settings
from evoguard.wiring.authoring import opa_path
from evoguard.wiring.backtest import backtest
from evoguard.wiring.init import init

BARS_MS = {10: 4.0, 100: 10.0, 1_000: 80.0}
BAR_BACKTEST_S, BAR_GROWN_MB = 40.0, 64.0
PAST, QUICK_PAST = 10_000, 1_000
START_S = 20.0


def measure(*, quick: bool = False) -> list[Figure]:
    """Ask, let rules run away, ask the past again. Raises: UnavailableError when an engine has no verdict."""
    return asyncio.run(_measure(quick=quick))


async def _measure(*, quick: bool) -> list[Figure]:
    figures = []
    with tempfile.TemporaryDirectory(prefix="evoguard-bench-") as made:
        place = Path(made)
        try:
            opa: Path | None = opa_path()
        except EvoguardError:
            opa = None
        async with _server(opa, place) as remote:
            for files in BARS_MS:
                figures += await _decision(files, remote, rounds=(20 if quick else 100) if files < 1_000 else 15)
        if opa is None:
            figures.append(Figure("runaway rules that were tried", 0, "rules", 1, higher_is_better=True, note=MEND))
        else:
            figures += await asyncio.to_thread(lambda: list(runaway.figures(opa, place)))
        figures += await _past(place, QUICK_PAST if quick else PAST)
    return figures


async def _decision(files: int, remote: OpaServerPolicies | None, *, rounds: int) -> list[Figure]:
    local, asked = OpaWasmPolicies(), question(files)
    said = await local.decide("review", asked)
    if remote is not None and await remote.decide("review", asked) != said:
        raise UnavailableError("policies", "the two engines answer differently")
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(await _ms(local, asked))
        if remote is not None:
            theirs.append(await _ms(remote, asked))
    note = "in process; baseline: an OPA server on loopback" if remote else f"in process; no baseline: {MEND}"
    at = f"decision on {files:,} files"
    return [
        Figure(f"{at}, p50", median(ours), "ms", None, median(theirs) if theirs else None, note=note),
        Figure(f"{at}, p95", _p95(ours), "ms", BARS_MS[files], _p95(theirs) if theirs else None, note=note),
    ]


async def _ms(rules: OpaWasmPolicies | OpaServerPolicies, asked: dict[str, Any]) -> float:
    began = time.perf_counter()
    await rules.decide("review", asked)
    return (time.perf_counter() - began) * 1000


def _p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1]


@contextlib.asynccontextmanager
async def _server(opa: Path | None, place: Path) -> AsyncIterator[OpaServerPolicies | None]:
    """Yield policies on an OPA server with the shipped bundle, None without OPA or with another version of it."""
    if opa is None:
        yield None
        return
    loaded = bundle.load()
    (place / "rules.tar.gz").write_bytes(exported(loaded, bundle.sources()))
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    words = [str(opa), "run", "--server", "--addr", f"127.0.0.1:{port}", "--log-level", "error",
             "--skip-version-check", "-b", "rules.tar.gz"]  # fmt: skip
    running = subprocess.Popen(words, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        remote = OpaServerPolicies(f"http://127.0.0.1:{port}", loaded)
        yield remote if await _up(remote, port) else None
    finally:
        running.terminate()
        running.wait(10)


async def _up(remote: OpaServerPolicies, port: int) -> bool:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(_health, port)
            with contextlib.suppress(EvoguardError):
                await remote.ready()
                return True
            return False
        await asyncio.sleep(0.05)
    return False


def _health(port: int) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health?bundles", timeout=5):
        pass


async def _past(place: Path, count: int) -> list[Figure]:
    """Ask recorded decisions again under the rules that made them, and under others."""
    settings = Settings.load(place / "state", {"HOME": str(place)})
    init(settings)
    local = OpaWasmPolicies()
    answers = {n: (await local.decide("review", question(n))).as_json() for n in range(1, 11)}
    few, other = count // 10, _tighter(place / "other")
    for batch in (range(few), range(few, count)):
        _record(settings, batch, answers, local.digest)
        began, busy, peak = time.perf_counter(), _busy_s(), _peak_mb()
        same = await backtest(settings, bundle=None, since_ms=0)
        turned = await backtest(settings, bundle=other, since_ms=0)
        took, busy = time.perf_counter() - began, _busy_s() - busy
    turns = [doc["turns"] for doc in (same, turned)]
    expected = sum(n % 10 + 1 > 5 for n in range(count))
    if turns[0] != {**dict.fromkeys(turns[0], 0), "unchanged": count} or turns[1]["newly denied"] != expected:  # type: ignore[arg-type,call-overload,index]  # JSON of ours
        raise UnavailableError("policies", f"the past was answered otherwise than it was: {turns}")
    return [
        Figure(f"{count:,} decisions asked again under two bundles", took, "s", BAR_BACKTEST_S,
               note=f"the rules that made them: all unchanged; tighter: the wider denied; {busy:.0f} s of processors"),
        Figure(f"memory that {count:,} need more than {few:,}", _peak_mb() - peak, "MB", BAR_GROWN_MB,
               note="of the process that counts; each of those that ask holds one page of the log"),
    ]  # fmt: skip


def _record(settings: Settings, batch: range, answers: dict[int, Any], digest: Digest) -> None:
    """Store decisions as the flow does, without waiting for the disk each time."""
    con = db.connect(settings.database)
    con.execute("pragma synchronous=off")
    with contextlib.closing(con), db.transaction(con):
        for n in batch:
            change = f"ch-{n:012x}"
            files = n % 10 + 1
            asked = question(files, change=change)
            raw = canonical({"question": asked, "decision": answers[files], "bundle": digest})
            name = digest_of(raw).removeprefix("sha256:")
            path = settings.state / "artifacts" / "sha256" / name[:2] / name[2:]
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_bytes(raw)
            body: dict[str, Json] = {
                "allow": True,
                "quorum": 1,
                "decision": digest_of(raw),
                "bundle": digest,
                "deny": [],
            }
            event_log.append(con, f"change/{change}", (Event("change.judged", body),), now_ms=1_790_000_000_000 + n)


def _tighter(folder: Path) -> Path:
    """Return the shipped bundle with a lower limit of files: other data, the same rules, and no OPA needed."""
    shutil.copytree(Path(bundle.__file__).parent, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    data = json.loads((folder / bundle.DATA).read_bytes())
    data["limits"]["max_files"] = 5
    (folder / bundle.DATA).write_bytes(canonical(data))
    doc = json.loads((folder / bundle.MANIFEST).read_bytes())
    doc["data"] = digest_of(canonical(data))
    doc["digest"] = bundle.identity(doc)
    (folder / bundle.MANIFEST).write_text(json.dumps(doc))
    return folder


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _busy_s() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])
