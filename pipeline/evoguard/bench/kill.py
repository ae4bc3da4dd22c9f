"""From the moment a kill begins until stock SDKs say off: streaming, polling, under load, and the whole command.

Everything is real: a flag server in its own process, latch files, UnleashClient as it is. Baseline: the same SDK
polling the same server once a second. The load is another process with streams and polls of its own.

The server's share is what plain streams see. The rest is the SDKs': stock Python ones rebuild all flags and write them
to a cache file at each change, more than 5 ms of a processor each with 150 flags, all in this one process.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from evoguard.adapters import latch_files
from evoguard.adapters.latches import FileLatches
from evoguard.adapters.sqlite import db
from evoguard.adapters.sqlite.flags import SqliteFlags
from evoguard.bench import Figure, kill_node
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import Latch
from evoguard.errors import UnavailableError

STEP_S, MOST_S = 0.0005, 30.0
LOAD_STREAMS, LOAD_POLLS_S = 1_000, 1_000
BARS_MS = {10: 50.0, 50: 100.0}
NODE_SDKS, NODE_BAR_MS = 10, 50.0
SHARE_STREAMS, SHARE_BAR_MS = 50, 50.0
LOAD_BAR_MS, MEMORY_BAR_MIB = 400.0, 120.0


class Site:
    """A fresh state folder with a flag server that runs, and flags that are on, one for each kill to come."""

    def __init__(self, folder: Path, flags: int) -> None:
        self.state = folder / "state"
        self.command = [sys.executable, "-m", "evoguard", "--state", str(self.state)]
        subprocess.run([*self.command, "init"], check=True, capture_output=True)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        (self.state / "settings.toml").write_text(f"flags_port = {self.port}\n", encoding="utf-8")
        self.free = [f"bench-{n}" for n in range(flags)]
        asyncio.run(self._open())
        self.token = json.loads((self.state / "tokens.json").read_text(encoding="utf-8"))["flags.read"]
        self.server = subprocess.Popen([*self.command, "flags", "serve", "--log-level", "error"])

    async def _open(self) -> None:
        con = db.connect(self.state / "evoguard.db")
        try:
            for name in self.free:
                latches = FileLatches(self.state / "kill", lambda _: None)
                state = FlagState(name, name, "ch-0123456789ab", True, 100, "a" * 40, "b" * 40, 0, 0)
                await SqliteFlags(con, latches).write(state)
        finally:
            con.close()

    def url(self) -> str:
        """Return where the server listens. Raises: UnavailableError when it does not start."""
        end = time.monotonic() + MOST_S
        while time.monotonic() < end and self.server.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return f"http://127.0.0.1:{self.port}"
            time.sleep(0.02)
        raise UnavailableError("flags", "the flag server did not start")

    def memory_mib(self) -> float:
        """Return the server's highest resident memory."""
        status = Path(f"/proc/{self.server.pid}/status").read_text(encoding="ascii")
        return int(status.split("VmHWM:")[1].split()[0]) / 1024

    def close(self) -> None:
        """End the server."""
        self.server.terminate()
        self.server.wait()


def measure(*, quick: bool = False) -> list[Figure]:
    """Kill again and again, one flag each time, and look when the SDKs say off. Raises: UnavailableError."""
    logging.getLogger("UnleashClient").setLevel(logging.CRITICAL)
    rounds = 5 if quick else 30
    with tempfile.TemporaryDirectory(prefix="evoguard-kill-") as made:
        site = Site(Path(made), max(35, 5 * rounds))
        try:
            return _figures(site, site.url(), Path(made), rounds)
        finally:
            site.close()


def _figures(site: Site, url: str, folder: Path, rounds: int) -> list[Figure]:
    found = []
    with _sdks(url, site, folder, 10, streaming=False) as sdks:
        polling = _kills(site, sdks, max(3, rounds // 5))
    for count, bar in BARS_MS.items():
        with _sdks(url, site, folder, count, streaming=True) as sdks:
            times = _kills(site, sdks, rounds)
            found += _rows(f"kill until {count} streaming SDKs are off", times, bar, polling)
            if count == 10:
                whole = [_command(site, sdks) for _ in range(3)]
    found += _share(url, site, 2 * rounds // 5, polling)
    found += _node(url, site, folder, 2 * rounds // 3, polling)
    with _load(url, site.token) as load, _sdks(url, site, folder, 10, streaming=True) as sdks:
        loaded = _kills(site, sdks, rounds)
        errors, rate = load()
    what = f"the same under {LOAD_STREAMS} streams and {LOAD_POLLS_S} polls/s"
    found += _rows(what, loaded, LOAD_BAR_MS, polling)
    return [
        *found,
        Figure("  errors seen by the load", errors, "answers", 0, note=f"{rate:.0f} polls a second answered"),
        Figure("  the server's memory, highest", site.memory_mib(), "MiB", MEMORY_BAR_MIB),
        Figure("`evoguard kill`, start of the command until 10 are off", median(whole), "ms", baseline=median(polling)),
    ]


def _share(url: str, site: Site, rounds: int, polling: list[float]) -> list[Figure]:
    """Return how long the server itself takes until a kill has reached plain streams."""
    module = [sys.executable, "-m", "evoguard.bench.kill_streams"]
    words = [*module, url.rpartition(":")[2], site.token, str(SHARE_STREAMS)]
    with _teller(words, {}) as ask:
        times = [(at - began) * 1000 for began, told in (_told(site, ask) for _ in range(rounds)) for at in told]
    return _rows(f"  the server's share: at {SHARE_STREAMS} plain streams", times, SHARE_BAR_MS, polling)


def _node(url: str, site: Site, folder: Path, rounds: int, polling: list[float]) -> list[Figure]:
    """Return what stock Node SDKs take; a figure without a value says what is missing."""
    what = f"kill until {NODE_SDKS} streaming Node SDKs are off"
    try:
        home = kill_node.sdks()
    except UnavailableError as err:
        return [Figure(f"{what}: not measured", 0, "", note=f"{err.message}; {err.fix}")]
    script = Path(__file__).parent / "node" / "kill.cjs"
    words = ["node", str(script), str(home / "node_modules"), url, str(NODE_SDKS), site.free[-1], str(folder)]
    with _teller(words, {"EVOGUARD_TOKEN": site.token}) as ask:
        seen = [_told(site, ask, looking=True) for _ in range(rounds)]
    return _rows(f"{what}", [at - began * 1000 for began, told in seen for at in told], NODE_BAR_MS, polling)


@contextmanager
def _teller(words: list[str], environ: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """Start a process that says `ready`, and then answers each line. Raises: UnavailableError when it does not."""
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                          env={**os.environ, **environ}) as process:  # fmt: skip
        try:
            _line(process, "ready")
            yield process
        finally:
            process.kill()


def _told(site: Site, process: subprocess.Popen[str], *, looking: bool = False) -> tuple[float, list[float]]:
    """Kill one flag; return when that began, and when the other process saw it, as it tells."""
    name = site.free.pop(0)
    time.sleep(0.05)
    assert process.stdin is not None  # noqa: S101  (it was asked for)
    process.stdin.write(f"{name}\n")
    process.stdin.flush()
    if looking:
        _line(process, "looking")
    began = time.time()
    latch_files.write_latch(site.state / "kill", Latch("", 0, "flag", name, "bench", "bench", int(began)))
    return began, json.loads(_line(process))


def _line(process: subprocess.Popen[str], wanted: str = "") -> str:
    assert process.stdout is not None  # noqa: S101  (it was asked for)
    told = process.stdout.readline().strip()
    if not told or (wanted and told != wanted):
        raise UnavailableError("flags", "a client of the bench ended early")
    return told


def _rows(what: str, times: list[float], bar: float, polling: list[float]) -> list[Figure]:
    p99 = quantiles(times, n=100, method="inclusive")[98]
    note = f"{len(times)} times; p50 {median(times):.1f}, highest {max(times):.1f}; baseline: polls once a second"
    return [Figure(f"{what}, p99", p99, "ms", bar, quantiles(polling, n=100, method="inclusive")[98], note=note)]


@contextmanager
def _sdks(url: str, site: Site, folder: Path, count: int, *, streaming: bool) -> Iterator[list[Any]]:
    """Start stock SDKs; all of them see the flags on."""
    from UnleashClient.clients.unleash_client import UnleashClient
    from UnleashClient.utils import InstanceAllowType

    with ExitStack() as stack:
        sdks = []
        for n in range(count):
            sdk = UnleashClient(
                f"{url}/api", "bench", refresh_interval=1, metrics_interval=60, request_retries=0,
                cache_directory=str(folder / f"cache-{streaming}-{count}-{n}"),
                custom_headers={"Authorization": site.token},
                multiple_instance_mode=InstanceAllowType.SILENTLY_ALLOW,
                experimental_mode={"type": "streaming" if streaming else "polling"},
            )  # fmt: skip
            sdk.initialize_client()
            stack.callback(sdk.destroy)
            sdks.append(sdk)
        _until(sdks, site.free[-1], on=True, began=time.perf_counter())
        yield sdks


def _kills(site: Site, sdks: list[Any], rounds: int) -> list[float]:
    """Return, for each kill and SDK, milliseconds from the start of the latch's write until the SDK says off."""
    times = []
    for _ in range(rounds):
        name = site.free.pop(0)
        time.sleep(0.05)
        began = time.perf_counter()
        latch_files.write_latch(site.state / "kill", Latch("", 0, "flag", name, "bench", "bench", int(time.time())))
        times += _until(sdks, name, on=False, began=began)
    return times


def _command(site: Site, sdks: list[Any]) -> float:
    name, began = site.free.pop(0), time.perf_counter()
    with subprocess.Popen([*site.command, "kill", f"flag:{name}", "--reason", "bench"], stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as killing:  # fmt: skip
        times = _until(sdks, name, on=False, began=began)
        killing.wait()
    return max(times)


def _until(sdks: list[Any], name: str, *, on: bool, began: float) -> list[float]:
    """Return milliseconds until each SDK answered so. Raises: UnavailableError when one never does."""
    waiting, times = list(sdks), []
    while waiting:
        there = [sdk for sdk in waiting if bool(sdk.is_enabled(name, {"userId": "user"})) is on]
        now = time.perf_counter()
        times += [(now - began) * 1000] * len(there)
        waiting = [sdk for sdk in waiting if sdk not in there]
        if now - began > MOST_S:
            raise UnavailableError("flags", f"{len(waiting)} SDKs were not {'on' if on else 'off'} in {MOST_S:.0f} s")
        time.sleep(STEP_S)
    return times


@contextmanager
def _load(url: str, token: str) -> Iterator[Any]:
    """Start the load in a process of its own; what is given ends it and returns its errors and polls a second."""
    module = [sys.executable, "-m", "evoguard.bench.kill_load"]
    words = [*module, url.rpartition(":")[2], token, str(LOAD_STREAMS), str(LOAD_POLLS_S)]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None  # noqa: S101, PT018
        process.stdout.readline()

        def end() -> tuple[int, float]:
            told, _ = process.communicate("\n")
            errors, rate = told.split()
            return int(errors), float(rate)

        try:
            yield end
        finally:
            process.kill()
