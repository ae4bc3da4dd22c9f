"""A real Unleash server behind the Flags port: the same contract suite, kills, hands that edit it, and its end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from UnleashClient import UnleashClient
from UnleashClient.utils import InstanceAllowType

from contract.flags_suite import BoardInHand, FlagsSuite, a_database, a_flag, until
from evoguard.adapters.sqlite.db import connect
from evoguard.adapters.sqlite.flags import SqliteFlags
from evoguard.adapters.unleash.admin import Unleash, agrees
from evoguard.adapters.unleash.flags import UnleashFlags
from evoguard.adapters.unleash.follow import Follower
from evoguard.domain.latch import LatchBoard
from evoguard.errors import ConfigError, UnavailableError
from evoguard.flags import document
from evoguard.settings import Settings
from evoguard.wiring import unleash as wiring
from evoguard.wiring.init import init
from real.unleash_place import ADMIN, READER, serving

FOUND = os.environ.get("EVOGUARD_UNLEASH", "")
pytestmark = pytest.mark.skipif(not FOUND, reason="no Unleash server: deploy/tools/unleash.sh says what is missing")


@pytest.fixture(scope="module")
def place():
    with serving(Path(FOUND), Path(os.environ["EVOGUARD_POSTGRES"])) as served:
        yield served


@pytest.fixture
def server(place):
    """An Unleash server without flags."""
    found = Unleash(place.url, ADMIN)
    _admin(place, "DELETE", "/features/lending")
    _admin(place, "DELETE", "/features/parent")
    for name in ("lending", "parent"):
        _admin(place, "DELETE", f"/{name}", root="/api/admin/archive")
    assert found.served("lending") is None
    return found


def _admin(place, method: str, path: str, body=None, *, root: str = "/api/admin/projects/default") -> int:
    headers = {"Authorization": ADMIN}
    return httpx.request(method, place.url + root + path, json=body, headers=headers, timeout=10).status_code


@pytest.fixture
def con(tmp_path):
    with closing(connect(a_database(tmp_path), busy_s=0.1)) as held:
        yield held


class _Both(UnleashFlags):
    """The backend, and the record's connection, by which the suite says which changes are open."""

    @property
    def _con(self):
        return self._record._con


class TestUnleashFlags(FlagsSuite):
    @pytest.fixture
    def flags(self, con, latches: BoardInHand, server: Unleash) -> UnleashFlags:
        return _Both(SqliteFlags(con, latches), server, document.feature, latches)

    async def test_what_the_server_says_is_what_was_decided(self, flags, server):
        for state in (a_flag(), a_flag(percent=50, lease_until=1_900_000_000), a_flag(percent=0), a_flag(percent=100)):
            await flags.write(state)
            assert agrees(server.served("lending"), document.feature(state, LatchBoard()))
        await flags.off("lending")
        assert server.served("lending").enabled is False

    async def test_a_kill_between_record_and_server_is_served_off(self, con, server):
        latches = BoardInHand()

        class Late(SqliteFlags):
            async def write(self, state):
                await super().write(state)
                latches.kill()

        await UnleashFlags(Late(con, latches), server, document.feature, latches).write(a_flag())
        assert server.served("lending").enabled is False

    async def test_what_was_edited_on_the_server_is_not_read_as_decided(self, flags, server, place):
        await flags.write(a_flag())
        strategy = next(iter(server.served("lending").strategies))
        where = f"/features/lending/environments/production/strategies/{strategy}"
        wider = {"name": "flexibleRollout", "constraints": [],
                 "parameters": {"rollout": "100", "stickiness": "userId", "groupId": "lending"}}  # fmt: skip
        assert _admin(place, "PUT", where, wider) == 200
        with pytest.raises(UnavailableError):
            await flags.read("lending")
        await flags.write(a_flag(percent=11))
        assert await flags.read("lending") == a_flag(percent=11)

    async def test_a_second_strategy_beside_ours_is_removed(self, flags, server, place):
        await flags.write(a_flag())
        other = {"name": "default", "constraints": [], "parameters": {}}
        where = "/features/lending/environments/production/strategies"
        assert _admin(place, "POST", where, other) == 200
        with pytest.raises(UnavailableError):
            await flags.read("lending")
        await flags.write(a_flag(percent=12))
        assert len(server.served("lending").strategies) == 1

    async def test_a_flag_that_depends_on_another_is_never_confirmed(self, flags, place):
        await flags.write(a_flag())
        assert _admin(place, "POST", "/features", {"name": "parent", "type": "release"}) == 201
        assert _admin(place, "POST", "/features/lending/dependencies", {"feature": "parent"}) == 200
        with pytest.raises(UnavailableError):
            await flags.write(a_flag(percent=12))
        assert _admin(place, "DELETE", "/features/lending/dependencies") == 200

    async def test_a_server_that_is_gone_confirms_nothing(self, con, latches):
        gone = Unleash("http://127.0.0.1:9", ADMIN, wait_s=0.5)
        flags = UnleashFlags(SqliteFlags(con, latches), gone, document.feature, latches)
        with pytest.raises(UnavailableError):
            await flags.write(a_flag())
        with pytest.raises(UnavailableError):
            await flags.off("lending")
        assert await SqliteFlags(con, latches).read("lending") == a_flag(enabled=False)


def test_another_token_is_refused(place):
    with pytest.raises(UnavailableError, match="401"):
        Unleash(place.url, "*:*.marked-fixture-other").served("lending")


def test_another_environment_is_named(place, server):
    server.put(document.feature(a_flag(), LatchBoard()))
    with pytest.raises(UnavailableError, match="no environment staging"):
        Unleash(place.url, ADMIN, environment="staging").served("lending")


class TestFollower:
    @pytest.fixture
    def wanted(self):
        return [document.feature(a_flag(), LatchBoard())]

    def test_it_puts_what_it_is_given_and_then_asks_nothing(self, server, wanted, monkeypatch):
        follower = Follower(server, lambda: wanted)
        follower.look()
        assert agrees(server.served("lending"), wanted[0])
        monkeypatch.setattr(server, "_ask", None)
        follower.look()
        assert follower.behind == ""

    def test_what_a_hand_turned_on_is_put_back(self, server, place):
        wanted = [document.feature(a_flag(enabled=False), LatchBoard())]
        follower = Follower(server, lambda: wanted)
        follower.look()
        assert _admin(place, "POST", "/features/lending/environments/production/on") == 200
        follower._whole_at = float("-inf")
        follower.look()
        assert server.served("lending").enabled is False

    def test_an_archived_flag_is_told_and_not_taken_for_served(self, server, place, wanted):
        follower = Follower(server, lambda: wanted)
        follower.look()
        assert _admin(place, "DELETE", "/features/lending") == 202
        follower._whole_at = float("-inf")
        follower.look()
        assert "409" in follower.behind

    def test_a_server_that_was_away_gets_what_it_missed(self, server, place, wanted):
        follower = Follower(server, lambda: wanted)
        follower.look()
        place.end()
        wanted[0] = document.feature(a_flag(enabled=False), LatchBoard())
        follower.look()
        assert "does not answer" in follower.behind
        place.begin()
        follower.look()
        assert follower.behind == ""
        assert server.served("lending").enabled is False


@pytest.fixture
def settings(tmp_path, place):
    token = tmp_path / "unleash.token"
    token.touch(mode=0o600)
    token.write_text(ADMIN)
    found = Settings.load(tmp_path / "state", {"HOME": str(tmp_path)})
    found = replace(found, unleash_url=place.url, unleash_token_file=str(token), flags_port=_port())
    init(found)
    (found.state / "settings.toml").write_text(
        f'unleash_url = "{place.url}"\nunleash_token_file = "{token}"\nflags_port = {found.flags_port}\n'
    )
    return found


def _port() -> int:
    import socket

    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return int(held.getsockname()[1])


def test_a_kill_reaches_stock_sdks_through_the_server(settings, place, server):
    """The commands as people run them: the flag server puts the flag, the kill turns it off, and it stays off."""
    env = {**os.environ, "EVOGUARD_STATE": str(settings.state), "HOME": str(settings.state.parent)}
    with closing(connect(settings.database)) as con:
        asyncio.run(SqliteFlags(con, BoardInHand()).write(a_flag(percent=100)))
    serving = subprocess.Popen([sys.executable, "-m", "evoguard", "flags", "serve"], env=env)
    sdk = UnleashClient(
        f"{place.url}/api", "lending", refresh_interval=1, metrics_interval=60,
        custom_headers={"Authorization": READER},
        cache_directory=str(settings.state.parent / "cache"), multiple_instance_mode=InstanceAllowType.SILENTLY_ALLOW,
    )  # fmt: skip
    try:
        sdk.initialize_client()
        until(lambda: sdk.is_enabled("lending", {"userId": "user-1"}))
        kill = [sys.executable, "-m", "evoguard", "kill", "all", "--reason", "a rehearsal", "--json"]
        done = subprocess.run(kill, env=env, capture_output=True, check=False, timeout=60)
        assert json.loads(done.stdout)["latched"] is True, done
        assert server.served("lending").enabled is False  # the command itself waited for it
        until(lambda: not sdk.is_enabled("lending", {"userId": "user-1"}))
        assert _admin(place, "POST", "/features/lending/environments/production/on") == 200
        until(lambda: server.served("lending").enabled is False)  # a hand cannot bring it back
    finally:
        sdk.destroy()
        serving.terminate()
        serving.wait()


async def test_no_rollout_opens_while_the_server_cannot_be_told_of_a_kill(settings):
    class Armed:
        async def prove(self) -> None:
            return None

    await wiring.kill_path(settings, Armed()).prove()
    away = replace(settings, unleash_url="http://127.0.0.1:9")
    with pytest.raises(UnavailableError):
        await wiring.kill_path(away, Armed()).prove()


@pytest.mark.parametrize("how", ["shared", "empty", "missing", "not text"])
def test_a_token_that_others_can_read_or_that_is_none_is_refused(settings, how):
    path = Path(settings.unleash_token_file)
    if how == "shared":
        path.chmod(0o640)
    elif how == "missing":
        path.unlink()
    else:
        path.write_bytes(b"" if how == "empty" else b"\xff")
    with pytest.raises(ConfigError):
        wiring.server(settings)
