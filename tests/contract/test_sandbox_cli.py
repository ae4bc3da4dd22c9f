"""`evoguard sandbox run`: a new binary tried in gVisor, its record taken outside, its results bounded."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from evoguard.adapters import tool_cache
from evoguard.cli import exit_codes
from evoguard.cli.sandboxing import bar

pytestmark = pytest.mark.needs_gvisor


def sandbox(folder: Path, *words: str) -> tuple[int, dict[str, Any]]:
    command = [sys.executable, "-m", "evoguard", "--state", str(folder / "state"), "sandbox", "run", "--json", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, json.loads(done.stdout)


def test_a_tool_runs_without_the_hosts_files_and_its_programs_are_recorded(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\necho hello; cat /etc/shadow\nmkdir out; echo made > out/file\n")
    (tmp_path / "tool").chmod(0o755)
    code, doc = sandbox(tmp_path, "--put", "tool", "--take", "out", "--out", "got", "--record-files", "--", "./tool")
    assert (code, doc["outcome"], doc["exit_status"], doc["stdout"]) == (0, "finished", 0, "hello\n")
    assert "No such file" in doc["stderr"]
    assert doc["behaviour"]["status"] == "recorded"
    assert doc["behaviour"]["programs"][0] == "/room/tree/tool"
    assert "/etc/shadow" in doc["behaviour"]["files"]
    assert (tmp_path / "got" / "out" / "file").read_text() == "made\n"
    assert [row["path"] for row in doc["artefacts"]] == ["out/file"]


def image_layer(path: Path) -> None:
    """Write a layer as an image holds them: a tool with a link to it, and a member that leads out of the folder."""
    with tarfile.open(path, "w:gz") as packed:
        for name, text in (("usr/bin/tool", b"#!/bin/sh\necho from the layer\n"), ("../../etc/shown", b"out\n")):
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(text), 0o755
            packed.addfile(member, io.BytesIO(text))
        link = tarfile.TarInfo("bin")
        link.type, link.linkname = tarfile.SYMTYPE, "usr/bin"
        packed.addfile(link)


def test_an_image_layer_is_unpacked_in_the_room_and_its_tool_tried(tmp_path: Path) -> None:
    image_layer(tmp_path / "layer.tar.gz")
    script = "tar xzf layer.tar.gz; exec bin/tool"
    code, doc = sandbox(tmp_path, "--put", "layer.tar.gz", "--", "sh", "-c", script)
    assert (code, doc["exit_status"], doc["stdout"]) == (0, 0, "from the layer\n"), doc
    assert "/room/tree/usr/bin/tool" in doc["behaviour"]["programs"]


def test_an_attempt_to_reach_out_is_a_finding_and_no_success(tmp_path: Path) -> None:
    reach = "import socket\ntry: socket.create_connection(('192.0.2.1', 80), 1)\nexcept OSError: pass"
    code, doc = sandbox(tmp_path, "--", "python", "-c", reach)
    assert (code, doc["exit_status"]) == (3, 0)
    assert [finding["code"] for finding in doc["findings"]] == ["sandbox.network_attempt"]
    assert doc["behaviour"]["connects"][0]["address"] == "192.0.2.1"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["--take", "x", "--", "true"], "usage"),
        (["--put", "gone", "--", "true"], "file.unreadable"),
        (["--tree", "gone", "--", "true"], "sandbox.tree"),
        (["--layer", "gone", "--", "true"], "sandbox.layer_missing"),
        (["--wall", "0", "--", "true"], "usage"),
        (["--allow", "no-port", "--", "true"], "usage"),
        (["--allow", "http://a:80", "--", "true"], "usage"),
    ],
)
def test_bad_input_is_one_clear_error(tmp_path: Path, words: list[str], error: str) -> None:
    code, doc = sandbox(tmp_path, *words)
    assert code in (1, 2)
    assert doc["error"]["code"] == error


def test_a_failing_or_missing_command_is_no_success(tmp_path: Path) -> None:
    assert sandbox(tmp_path, "--", "python", "-c", "raise SystemExit(7)")[1]["exit_status"] == 7
    code, doc = sandbox(tmp_path, "--", "no-such-program")
    assert (code, doc["exit_status"]) == (3, 126)
    assert "did not start" in doc["stderr"]


def test_what_it_took_stands_beside_its_limits(tmp_path: Path) -> None:
    code, doc = sandbox(tmp_path, "--memory", "512", "--", "python", "-c", "held = bytearray(64 << 20)")
    assert (code, doc["isolation"]["name"]) == (0, "gvisor")
    told = {row["name"]: row for row in doc["usage"]}
    assert (told["memory"]["limit"], told["memory"]["unit"]) == (512 << 20, "bytes")
    assert {name for name, row in told.items() if row["counted"]} >= {"wall time", "output"}
    if doc["isolation"]["limits"] == "host":
        assert 64 << 20 <= told["memory"]["used"] <= 512 << 20
        assert told["processor time"]["used"] > 0


def test_people_see_bars_and_what_nobody_counted_says_so() -> None:
    row = {"name": "memory", "used": 83 << 20, "limit": 1024 << 20, "unit": "bytes", "counted": True}
    assert bar(row) == "memory          [##..................] 83 MiB of 1024 MiB"
    assert bar({**row, "used": 1024 << 20}).count("#") == 20
    assert "not counted, limit 1024 MiB" in bar({**row, "used": 0, "counted": False})


def test_a_request_that_is_not_allowed_is_shown_and_no_success(tmp_path: Path) -> None:
    get = "import urllib.request as u\ntry: u.urlopen('http://denied.invalid/x')\nexcept OSError as e: print(e)"
    code, doc = sandbox(tmp_path, "--allow", "allowed.invalid:443", "--", "python", "-c", get)
    assert (code, doc["stdout"]) == (3, "HTTP Error 403: refused by the sandbox\n")
    assert [(e["host"], e["port"], e["allowed"]) for e in doc["egress"]] == [("denied.invalid", 80, False)]
    assert [finding["code"] for finding in doc["findings"]] == ["sandbox.network_attempt"]


def test_a_command_is_found_by_its_name_and_one_that_is_not_there_says_how_to_bring_it(tmp_path: Path) -> None:
    code, doc = sandbox(tmp_path, "--", "ls", "/room")
    assert (code, doc["exit_status"], doc["stdout"]) == (0, 0, "tree\n")
    command = [sys.executable, "-m", "evoguard", "--state", str(tmp_path / "s"), "sandbox", "run", "--", "cargo"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 3
    assert "bring it by --put" in done.stderr


@contextmanager
def sleeping(folder: Path, *, in_background: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """Yield the command while a sandbox of its runs; `in_background` as shells start such jobs: without SIGINT."""
    home = folder / "cache" / "evoguard"
    home.mkdir(parents=True)
    (home / "tools").symlink_to(tool_cache.cache() / "tools")
    command = [sys.executable, "-m", "evoguard", "sandbox", "run", "--", "sleep", "99"]
    env = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    if in_background:
        command = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *command]
    running = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 60
        while not list((home / "run" / "sandbox" / "runsc").glob("*.state")) and time.monotonic() < end:
            time.sleep(0.05)
        yield running
    finally:
        running.kill()
        running.wait()


def left_of(folder: Path) -> list[str]:
    home = folder / "cache" / "evoguard" / "run" / "sandbox"
    name = f"eg-{(home / 'installation').read_text().strip()}-"
    groups = [f"{at}/{each}" for at, names, _ in os.walk("/sys/fs/cgroup") for each in names if each.startswith(name)]
    return [*groups, *(str(path) for part in ("b", "runs", "runsc", "s") for path in (home / part).iterdir())]


@pytest.mark.parametrize("in_background", [False, True])
def test_asked_to_end_it_ends_in_order_and_leaves_nothing(tmp_path: Path, in_background: bool) -> None:
    with sleeping(tmp_path, in_background=in_background) as running:
        assert [path for path in left_of(tmp_path) if path.endswith(".state")]
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == exit_codes.INTERRUPTED
    assert left_of(tmp_path) == []


def test_what_a_killed_one_left_is_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with sleeping(tmp_path) as running:
        running.kill()
        running.wait()
        assert left_of(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert sandbox(tmp_path, "--", "true")[0] == 0
    assert left_of(tmp_path) == []
