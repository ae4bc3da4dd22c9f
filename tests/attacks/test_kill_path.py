"""No rollout starts while a kill would not be served at once: a server that is gone, blind, behind or another's."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from contract.flags_suite import House as FlagHouse
from evoguard.adapters import latch_files
from evoguard.adapters.kill_path import ServedKills, place
from evoguard.adapters.latches import FileLatches
from evoguard.domain.latch import Latch
from evoguard.errors import UnavailableError
from fakes import FakeKillPath
from house import House


@contextmanager
def answering(body: bytes | dict, status: int = 200):
    """Serve one answer on a free port."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def kill_dir(tmp_path):
    folder = tmp_path / "kill"
    latch_files.prepare(folder)
    return folder


def asking(url: str, folder, token: str = "") -> ServedKills:
    return ServedKills(url, lambda: token, folder, FileLatches(folder, lambda _: None))


def good(where, **changes) -> dict:
    return {"epoch": 0, "known": True, "folder": place(where), "unreadable": [], "off": [], "on": [], **changes}


async def test_a_server_that_reads_our_folder_is_armed(kill_dir):
    with answering(good(kill_dir)) as url:
        await asking(url, kill_dir).prove()


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"folder": "1:2"}, "another kill folder"), ({"folder": ""}, "another kill folder"), ({"known": False}, "no rows"),
     ({"known": 1}, "no rows"), ({"unreadable": ["x"]}, "unreadable"), ({"epoch": "9"}, "newest kill"),
     ({"epoch": -1}, "newest kill"), ({"epoch": None}, "newest kill")],
)  # fmt: skip
async def test_a_server_that_does_not_see_what_we_file_is_not(kill_dir, changes, why):
    with answering(good(kill_dir, **changes)) as url, pytest.raises(UnavailableError, match=why):
        await asking(url, kill_dir).prove()


@pytest.mark.parametrize(("body", "status"), [(b"", 200), (b"[]", 200), (b"x" * 100, 200), (b"[" * 9_000, 200),
                                              (b"{}", 401), (b"{}", 500)])  # fmt: skip
async def test_an_answer_that_is_none_is_not(kill_dir, body, status):
    with answering(body, status) as url, pytest.raises(UnavailableError):
        await asking(url, kill_dir).prove()


async def test_a_server_that_has_not_seen_the_newest_kill_is_not(kill_dir):
    latch_files.write_latch(kill_dir, Latch("", 0, "flag", "other", "test", "ann", 0))
    with answering(good(kill_dir)) as url, pytest.raises(UnavailableError, match="newest kill"):
        await asking(url, kill_dir).prove()


async def test_a_folder_that_is_gone_is_not_the_same_as_one_that_the_server_does_not_find(tmp_path):
    with answering(good(tmp_path, folder="")) as url, pytest.raises(UnavailableError):
        await asking(url, tmp_path / "gone").prove()


async def test_nobody_who_answers_is_not(kill_dir):
    with answering(b"") as url:
        pass
    with pytest.raises(UnavailableError, match="does not answer"):
        await asking(url, kill_dir).prove()


async def test_the_real_server_says_where_it_reads(tmp_path, kill_dir):
    house = FlagHouse(tmp_path)
    await house.write(percent=100)
    house.place = place(kill_dir)
    with house.serving() as url:
        await asking(url, kill_dir, house.read_token).prove()
        with pytest.raises(UnavailableError, match="another kill folder"):
            await asking(url, tmp_path, house.read_token).prove()
        with pytest.raises(UnavailableError, match="refused: 401"):
            await asking(url, kill_dir, "a stranger's").prove()


async def test_a_proxy_of_the_environment_hears_no_token(tmp_path, kill_dir, monkeypatch):
    """A token that may read every flag would go to it, and its answer would be believed."""
    house = FlagHouse(tmp_path)
    await house.write(percent=100)
    house.place = place(kill_dir)
    with answering(good(kill_dir, folder="1:2")) as proxy, house.serving() as url:
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        await asking(url, kill_dir, house.read_token).prove()


async def test_a_server_that_points_elsewhere_is_not_followed(kill_dir):
    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(302)
            self.send_header("Location", aim[0])
            self.end_headers()

        def log_message(self, *_):
            pass

    with answering(good(kill_dir)) as other:
        aim = [f"{other}/internal/off"]
        server = HTTPServer(("127.0.0.1", 0), Elsewhere)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            with pytest.raises(UnavailableError, match="302"):
                await asking(f"http://127.0.0.1:{server.server_port}", kill_dir).prove()
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


async def on(house: House) -> bool:
    state = await house.flags.read("lending-scoring")
    return state is not None and state.enabled


async def test_a_rollout_opens_only_when_a_kill_would_be_served(tmp_path):
    house = House(tmp_path)
    house.kill_path.fault = "nobody would hear of it"
    change = await house.submit()
    await house.drive(change)
    await house.vote(change, "alice")
    for _ in range(2):  # asked again each time it is driven
        with pytest.raises(UnavailableError, match="nobody would hear"):
            await house.drive(change)
        assert not await on(house)
    house.kill_path.fault = ""
    await house.drive(change)
    assert await on(house)


async def test_without_the_gate_it_opens_all_the_same(tmp_path, monkeypatch):
    """Removed on purpose: what the test before sees is the gate's work."""

    async def unproved(_self) -> None:
        return None

    house = House(tmp_path)
    house.kill_path.fault = "nobody would hear of it"
    monkeypatch.setattr(FakeKillPath, "prove", unproved)
    await house.to_watch()
    assert await on(house)
