"""What the scan costs a change, and what its rules say of code that nobody meant badly.

Baseline: the same engine in a process of this machine, with the same files and rules, in turn, in the same run. The
files are evoguard's own sandbox room. `refused` counts files in which a rule of severity error finds something, though
every line of them were new.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

import evoguard_sandbox
from evoguard import bundle
from evoguard.adapters import tool_cache
from evoguard.adapters.scanners import engine
from evoguard.adapters.scanners.semgrep import Run, Semgrep
from evoguard.bench import Figure
from evoguard.bench.corpus.planted import clean, planted
from evoguard.domain.scan import Scan
from evoguard.domain.secrets import find_secrets
from evoguard.errors import UnavailableError
from evoguard.ports.forge import Blob
from evoguard_sandbox import Job, JobReport, Limits, Room, SandboxError, execute

BAR_20_S, CHANGED, MOST_REFUSED_PERCENT = 1.5, 20, 2.0
BAR_SECRETS_S, LEAST_FOUND_PERCENT, MOST_FALSE_PERCENT, LINES = 0.5, 93.0, 1.0, 3_000


def measure(*, quick: bool = False) -> list[Figure]:
    """Scan 20 files and all of them, in the sandbox and without. Raises: UnavailableError when nothing was scanned."""
    return asyncio.run(_measure(3 if quick else 9))


async def _measure(rounds: int) -> list[Figure]:
    files = _own_files()
    few = dict(sorted(files.items(), key=lambda item: -len(item[1].data))[:CHANGED])
    with tempfile.TemporaryDirectory(prefix="evoguard-bench-") as folder:
        room = Room.open(Path(folder) / "room", tool_cache.runsc_path(), tool_cache.layer_dir())
        try:
            scanner = Semgrep(_runner(room), tool_cache.semgrep_dir(), bundle.load().scan)
            await _timed(scanner, few)  # the first scan of a process hashes the engine
            scans = [(await _timed(scanner, few), _alone(few, Path(folder))) for _ in range(rounds)]
            whole, seen = await _timed(scanner, files)
        except SandboxError as err:
            raise UnavailableError("sandbox", err.message, fix=err.fix) from err
        finally:
            room.close()
    lines = sum(blob.data.count(b"\n") for blob in few.values())
    return [
        Figure(f"scan of {CHANGED} changed files", median(s for (s, _), _ in scans), "s", BAR_20_S,
               median(alone for _, alone in scans), note=f"{lines:,} lines, all new; baseline: {engine.NAME} alone"),
        Figure(f"scan of {len(files)} files", whole, "s", None, _alone(files, Path(tempfile.gettempdir())),
               note="the whole sandbox room as one change"),
        Figure("files refused", _refused_percent(seen, files), "%", MOST_REFUSED_PERCENT,
               note=f"of {len(files)} files of ours; {len(seen.new)} findings, most of them for people to look at"),
        *_secrets(few),
    ]  # fmt: skip


def _secrets(few: Mapping[str, Blob]) -> list[Figure]:
    """Look for secrets in lines that were made up, in 20 changed files, and in all of Python's own library."""
    found = sum(bool(find_secrets("a", [(1, line)])) for _, line in planted(LINES, seed=1))
    false = sum(bool(find_secrets("a", [(1, line)])) for line in clean(LINES, seed=2))
    began = time.perf_counter()
    for path, blob in few.items():
        find_secrets(path, enumerate(blob.data.decode().splitlines(), 1))
    took = time.perf_counter() - began
    library = [path for path in Path(sysconfig.get_path("stdlib")).rglob("*.py") if "site-packages" not in path.parts]
    texts = [path.read_text("utf-8", "replace").splitlines() for path in library]
    flagged = sum(len(find_secrets("a", enumerate(text, 1))) for text in texts)
    lines = sum(map(len, texts))
    return [
        Figure("planted secrets found", 100 * found / LINES, "%", LEAST_FOUND_PERCENT, higher_is_better=True,
               note=f"of {LINES:,} lines of our own making: shapes that the rules know, split ones, passwords"),
        Figure("clean lines flagged", 100 * false / LINES, "%", MOST_FALSE_PERCENT,
               note=f"of {LINES:,} made to look like secrets; in Python's own library {flagged} of {lines:,} lines"),
        Figure(f"secrets of {CHANGED} changed files", took, "s", BAR_SECRETS_S, note="in process, every line"),
    ]  # fmt: skip


def _own_files() -> dict[str, Blob]:
    home = Path(evoguard_sandbox.__file__).parent
    return {path.relative_to(home).as_posix(): Blob("100644", path.read_bytes()) for path in sorted(home.rglob("*.py"))}


def _runner(room: Room) -> Run:
    async def run(job: Job, limits: Limits) -> JobReport:
        return await execute(job, limits=limits, room=room)

    return run


async def _timed(scanner: Semgrep, files: Mapping[str, Blob]) -> tuple[float, Scan]:
    began = time.perf_counter()
    seen = await scanner.scan({}, files, [("", path) for path in files])
    if seen.status != "complete":
        raise UnavailableError("scanner", f"the scan was not whole: {seen.why}", fix="see `evoguard doctor`")
    return time.perf_counter() - began, seen


def _alone(files: Mapping[str, Blob], place: Path) -> float:
    """Return how long the engine takes in a process of this machine."""
    tree = Path(tempfile.mkdtemp(dir=place))
    try:
        asked = {f"head/{at}/file.py": (0o100644, blob.data) for at, blob in enumerate(files.values())}
        job = engine.job(tool_cache.semgrep_dir(), asked, bundle.load().scan, ("head",))
        assert isinstance(job.files, Mapping)  # noqa: S101  (made one line above)
        for path, (_, data) in job.files.items():
            (tree / path).parent.mkdir(parents=True, exist_ok=True)
            (tree / path).write_bytes(data)
        argv = [str(tool_cache.semgrep_dir() / "osemgrep") if word == engine.PROGRAM else word for word in job.argv]
        env = {"HOME": str(tree), "PATH": os.environ.get("PATH", "/usr/bin")}
        began = time.perf_counter()
        done = subprocess.run(argv, cwd=tree, env=env, capture_output=True, check=False)
        took = time.perf_counter() - began
        if done.returncode or not json.loads(done.stdout)["paths"]["scanned"]:
            raise UnavailableError("scanner", "the engine does not run on this machine", fix="see `evoguard doctor`")
        return took
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _refused_percent(seen: Scan, files: Mapping[str, Blob]) -> float:
    return 100 * len({hit.path for hit in seen.new if hit.severity == "error"}) / len(files)
