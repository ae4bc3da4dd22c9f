"""The rehearsal of the kill, with a real flag server: what holds is seen, and what does not hold is told."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from attacks.test_kill_path import answering
from evoguard.adapters.sqlite import db, event_log
from evoguard.adapters.sqlite.flags import SqliteFlags
from evoguard.cli import exit_codes, main
from evoguard.settings import Settings
from evoguard.wiring import drill
from evoguard.wiring.init import init
from evoguard.wiring.kill import account


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = Settings.load(tmp_path / "state", {"HOME": str(tmp_path)})
    init(made)
    (made.state / "settings.toml").write_text(f"flags_port = {free_port()}\n")
    return Settings.load(tmp_path / "state", {"HOME": str(tmp_path)})


@contextmanager
def a_flag_server(settings: Settings):
    command = [sys.executable, "-m", "evoguard", "--state", str(settings.state), "flags", "serve"]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        for _ in range(600):
            with suppress(OSError), socket.create_connection(("127.0.0.1", settings.flags_port), timeout=1):
                break
            time.sleep(0.05)
        try:
            yield
        finally:
            process.terminate()


def drilled(settings: Settings, capsys, *words: str) -> tuple[int, dict]:
    capsys.readouterr()
    status = main(["--state", str(settings.state), "drill", "--json", *words])
    return status, json.loads(capsys.readouterr().out)


def rows(settings: Settings) -> list[tuple[str, int]]:
    with closing(db.connect(settings.database)) as con:
        return con.execute("select flag, enabled from flags").fetchall()


def test_a_drill_shows_that_the_kill_works_and_the_log_keeps_it(settings, capsys):
    with a_flag_server(settings):
        status, seen = drilled(settings, capsys)
    assert (status, seen["ok"], seen["fault"]) == (exit_codes.DONE, True, "")
    assert seen["acknowledged"]
    assert seen["refused"]
    assert seen["stream_off_ms"] >= 0
    assert seen["poll_off_ms"] >= 0
    assert [(step["name"], step["status"]) for step in seen["steps"]] == [
        ("latch", "ok"), ("flags_off", "ok"), ("acknowledge", "ok"), ("revert", "ok"), ("probe", "ok"),
        ("clients", "ok"),
    ]  # fmt: skip
    assert rows(settings) == [(seen["flag"], 0)]
    status, last = drilled(settings, capsys, "--last")
    assert (status, last["kill"]) == (exit_codes.DONE, seen["kill"])
    with closing(db.connect(settings.database)) as con:
        told, kept = event_log.read(con, "kills")  # each link is proved
    assert (told.event.type, told.event.body["acknowledged"], told.event.body["asked"]) == ("kill.acknowledged", 1, 1)
    assert (kept.event.type, kept.event.body["kill"], kept.event.actor) == ("kill.drilled", seen["kill"], account())


def test_without_a_flag_server_there_is_nothing_to_rehearse_and_nothing_stays_on(settings, capsys):
    status, said = drilled(settings, capsys)
    assert status == exit_codes.TRANSIENT
    assert "no drill" in said["error"]["message"]
    assert [enabled for _, enabled in rows(settings)] == [0]
    assert drilled(settings, capsys, "--last")[1]["error"]["code"] == "drill.none"


def test_while_everything_is_killed_there_is_nothing_to_rehearse(settings, capsys):
    (settings.kill_dir / "kill-0123456789abcdef.json").write_bytes(b"not a latch")
    status, said = drilled(settings, capsys)
    assert (status, said["error"]["code"]) == (exit_codes.USAGE, "drill.killed")
    assert rows(settings) == []


def test_a_fence_that_is_gone_is_seen(settings, capsys, monkeypatch):
    with a_flag_server(settings):
        monkeypatch.setattr(SqliteFlags, "_fence", lambda *_: None)
        status, seen = drilled(settings, capsys)
    assert (status, seen["ok"], seen["refused"]) == (exit_codes.ERROR, False, False)
    assert "COULD BE TURNED ON AGAIN" in seen["fault"]


def test_a_server_that_shows_it_on_for_ever_is_seen(settings, capsys, monkeypatch):
    """It streams the flag once and then nothing, and polls get the same: an SDK would never hear of the kill."""
    monkeypatch.setattr(drill, "WAIT_S", 1.0)
    monkeypatch.setattr(drill.secrets, "token_hex", lambda _: "0" * 12)
    shown = {"name": f"drill-{'0' * 12}", "enabled": True}
    event = json.dumps({"events": [{"type": "hydration", "features": [shown]}]})
    with answering({"features": [shown]}) as url:
        monkeypatch.setattr(drill.Client, "_listen", _listening(event))
        monkeypatch.setattr(Settings, "flags_url", url)
        status, seen = drilled(settings, capsys)
    assert status == exit_codes.ERROR
    assert (seen["stream_off_ms"], seen["poll_off_ms"], seen["acknowledged"]) == (-1, -1, False)


def _listening(event: str):
    def listen(self: drill.Client) -> None:
        self._note(json.loads(event)["events"])

    return listen


@pytest.mark.parametrize("broken", [b"nonsense", b"[1]", b"\xff"])
def test_a_server_that_streams_nonsense_is_told(settings, capsys, monkeypatch, broken):
    monkeypatch.setattr(drill, "WAIT_S", 1.0)
    with answering(b"data: " + broken + b"\n") as url:
        monkeypatch.setattr(Settings, "flags_url", url)
        status, said = drilled(settings, capsys)
    assert status == exit_codes.TRANSIENT
    assert "no drill" in said["error"]["message"]
    assert [enabled for _, enabled in rows(settings)] == [0]
