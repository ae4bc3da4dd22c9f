"""Stock JavaScript clients: a page that asks the frontend API, and an app that starts without a server."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from contract.flags_suite import arrange, until
from evoguard.domain.latch import LatchBoard
from evoguard.flags import document
from real.unleash_cases import a_stage, node_home

SCRIPT = Path(__file__).with_name("stock_clients.cjs")


@pytest.fixture(scope="module")
def home() -> Path:
    return node_home()


class Client:
    """Asks a stock client which flags are on."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process

    def on(self, *flags: str) -> list[str]:
        self.process.stdin.write(f"{json.dumps(flags)}\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


@contextmanager
def a_client(home: Path, *words: str, token: str = "") -> Iterator[Client]:
    command = ["node", str(SCRIPT), str(home / "node_modules"), *words]
    environ = {"PATH": os.environ["PATH"], "EVOGUARD_TOKEN": token}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            yield Client(process)
        finally:
            process.kill()


def test_a_stock_page_meets_a_stage_and_a_kill(home, tmp_path):
    with a_stage(tmp_path) as (stage, url):
        arrange(stage, percent=100)
        with a_client(home, "frontend", url, token=stage.frontend_token) as page:
            until(lambda: page.on("lending", "nobody") == ["lending"])
            stage.latches.kill(scope="flag", name="lending")
            until(lambda: page.on("lending") == [])


def test_a_stock_node_app_starts_without_a_server_at_known_good(home, tmp_path):
    with a_stage(tmp_path) as (stage, _):
        arrange(stage, flag="promoted", component="a", percent=100)
        arrange(stage, flag="killed", component="b", change="ch-2", percent=100)
        arrange(stage, flag="early", component="c", change="ch-3", percent=100, lease_until=4_000_000_000)
        stage.latches.kill(scope="flag", name="killed")
        store, board = stage.store(), stage.latches.now
    made = tmp_path / "start.json"
    made.write_bytes(document.page(document.known_good(store.rows()[1], board)).body)
    with a_client(home, "bootstrap", str(made), str(tmp_path)) as app:
        assert app.on("promoted", "killed", "early") == ["promoted"]
    made.write_bytes(document.page(document.known_good(store.rows()[1], LatchBoard())).body)
    with a_client(home, "bootstrap", str(made), str(tmp_path)) as app:
        assert app.on("promoted", "killed", "early") == ["promoted", "killed"]
