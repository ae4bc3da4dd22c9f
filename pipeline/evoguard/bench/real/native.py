"""A suite without a sandbox: the same pytest, dependencies and interpreter, in a process of this machine.

This runs a released, pinned package's own code and tests here, as anybody who installs it does. It is the baseline:
what it says is noted by a plugin of its own, not by the sandbox's runner.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evoguard_sandbox import Interpreter
from evoguard_sandbox.judging.runs import EMPTY_CONFIG
from evoguard_sandbox.types import Files

WALL_S = 300
DRIVER = """
import json, os, sys
tree, layers, words, out = json.loads(sys.argv[1])
sys.path[:0] = [*([tree + "/src"] if os.path.isdir(tree + "/src") else []), tree, *layers]
import site
site.setquit()
site.sethelper()
import pytest

class Note:
    outcomes, uncollected = {}, {}

    def pytest_collectreport(self, report):
        if report.failed:
            self.uncollected[report.nodeid] = str(report.longrepr)[-500:]

    def pytest_runtest_logreport(self, report):
        was, why = self.outcomes.get(report.nodeid, ("passed", ""))
        expected = hasattr(report, "wasxfail")
        if report.failed:
            was = "failed" if report.when == "call" and was == "passed" else "error"
            why = why or str(report.longrepr)[-300:]
        elif report.skipped and was == "passed":
            was, why = "xfailed" if expected else "skipped", str(report.longrepr)[-300:]
        elif expected and was == "passed" and report.when == "call":
            was = "xpassed"
        self.outcomes[report.nodeid] = (was, why)

os.chdir(tree)
sys.argv = ["pytest"]
status = int(pytest.main(words, plugins=[Note()]))
with open(out, "w", encoding="utf-8") as file:
    json.dump({"status": status, "outcomes": Note.outcomes, "uncollected": Note.uncollected}, file)
"""


@dataclass(frozen=True, slots=True)
class Native:
    """One run. `cpu_s` is what the kernel counted for the process and its children."""

    outcomes: Mapping[str, str]
    why: Mapping[str, str]
    """Why a test is not passed, and why a file could not be collected."""
    green: bool
    wall_s: float
    cpu_s: float
    said: str


def run(files: Files, words: Sequence[str], layer_dirs: Sequence[Path]) -> Native:
    """Run pytest on a fresh copy of `files` with `words` as its arguments; `{tree}` in them is where the copy lies."""
    with tempfile.TemporaryDirectory(prefix="evoguard-native-") as made:
        tree, out = Path(made, "tree"), Path(made, "out.json")
        lay_out(files, tree)
        layers = [str(path) for path in layer_dirs]
        python = Interpreter.current()
        told = json.dumps([str(tree), layers, [word.replace("{tree}", str(tree)) for word in words], str(out)])
        command = [str(python.prefix / "bin" / python.name), "-I", "-S", "-B", "-c", DRIVER, told]
        with open(Path(made, "said"), "w+b") as said:
            began = time.perf_counter()
            process = subprocess.Popen(
                command, env=_env(python, [*layers, str(tree), f"{tree}/src"], made), cwd=tree,
                stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
            )  # fmt: skip
            cpu_s = _ended(process, began + WALL_S)
            wall_s = time.perf_counter() - began
            said.seek(0)
            words_said = said.read()[-2000:].decode("utf-8", "replace")
        return _read(out, wall_s, cpu_s, words_said)


def lay_out(files: Files, tree: Path) -> None:
    """Write the files below `tree`. They were read by `read_tree`: no path and no link leads out of it."""
    tree.mkdir()
    for path, (mode, data) in files.items():
        whole = tree / path
        whole.parent.mkdir(parents=True, exist_ok=True)
        if mode & 0o170000 == 0o120000:
            os.symlink(data, os.fsencode(whole))
            continue
        whole.write_bytes(data)
        whole.chmod(0o755 if mode & 0o111 else 0o644)


def arguments(config: str, plugins: Sequence[str], *, own_mode: bool) -> list[str]:
    """Return pytest's arguments for a tree whose configuration is the file `config`, as the sandbox's runner has."""
    where = f"{{tree}}/{config}" if config else EMPTY_CONFIG
    quiet = ["-q", "--color=no", "--maxfail=0"]
    off = [word for name in ("cacheprovider", "junitxml", "faulthandler") for word in ("-p", f"no:{name}")]
    loaded = [word for name in plugins for word in ("-p", name)]
    mode = [] if own_mode else ["--import-mode=append"]
    return [*quiet, *off, *loaded, "-c", where, "--rootdir={tree}", "--confcutdir={tree}", *mode]


def _env(python: Interpreter, path: Sequence[str], home: str) -> dict[str, str]:
    return {
        "PATH": f"{python.prefix}/bin:/usr/bin:/bin", "HOME": home, "LANG": "C.UTF-8", "TZ": "UTC",
        "LD_LIBRARY_PATH": f"{python.prefix}/lib", "PYTHONPATH": ":".join(path),
        "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    }  # fmt: skip


def _ended(process: subprocess.Popen[bytes], until: float) -> float:
    """Wait for the process and return its processor time in seconds; one that does not end in time is ended."""
    while True:
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return used.ru_utime + used.ru_stime
        if time.perf_counter() > until:
            process.kill()
        time.sleep(0.002)


def _read(out: Path, wall_s: float, cpu_s: float, said: str) -> Native:
    if not out.is_file():
        return Native({}, {}, False, wall_s, cpu_s, said)
    told = json.loads(out.read_text(encoding="utf-8"))
    outcomes = {name: outcome for name, (outcome, _) in told["outcomes"].items()}
    why = {name: reason for name, (_, reason) in told["outcomes"].items() if reason} | told["uncollected"]
    green = told["status"] == 0 and not told["uncollected"] and "passed" in outcomes.values()
    return Native(outcomes, why, green, wall_s, cpu_s, said)
