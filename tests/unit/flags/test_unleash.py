"""What the Unleash backend does where no server is asked; tests/real/test_unleash.py asks a real one."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from contract.flags_suite import a_flag
from evoguard.adapters.unleash.admin import Served, Unleash, agrees
from evoguard.adapters.unleash.follow import Follower
from evoguard.domain.canonical import Json
from evoguard.domain.latch import LatchBoard
from evoguard.errors import ConfigError, UnavailableError
from evoguard.flags import document
from evoguard.settings import Settings
from evoguard.wiring import unleash


class Noted(Unleash):
    """Notes what is put; a name in `away` is not confirmed."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9", "none")
        self.order: list[str] = []
        self.away: set[str] = set()

    def put(self, document: Mapping[str, Json]) -> None:
        self.order.append(str(document["name"]))
        if document["name"] in self.away:
            raise UnavailableError("unleash", "not confirmed")

    def served(self, name: str) -> Served | None:
        raise UnavailableError("unleash", "not confirmed")


def _docs(**enabled: bool) -> list[dict[str, Json]]:
    return [document.feature(a_flag(flag=name, enabled=on), LatchBoard()) for name, on in enabled.items()]


def test_what_goes_off_is_put_first():
    server = Noted()
    Follower(server, lambda: _docs(a=True, b=False, c=True, d=False)).look()
    assert server.order == ["b", "d", "a", "c"]


def test_one_flag_that_is_not_confirmed_stops_no_other_and_is_put_again():
    server = Noted()
    server.away.add("b")
    follower = Follower(server, lambda: _docs(a=True, b=False))
    follower.look()
    assert (server.order, follower.behind) == (["b", "a"], "unleash: not confirmed")
    server.away.clear()
    follower._whole_at = float("inf")
    follower.look()
    assert (server.order[2:], follower.behind) == (["b"], "")


def test_while_nobody_knows_the_flags_nothing_is_put_and_it_says_so():
    def silent() -> list[dict[str, Json]]:
        raise UnavailableError("database", "silent")

    server = Noted()
    follower = Follower(server, silent)
    follower.look()
    assert (server.order, follower.behind) == ([], "database: silent")


def _agreeing(**changes) -> bool:
    wanted = document.feature(a_flag(), LatchBoard())
    strategy = {**wanted["strategies"][0], "variants": wanted["variants"], "segments": [], "disabled": False}
    strategy["variants"] = [{k: v for k, v in strategy["variants"][0].items() if k != "overrides"}]
    strategy |= changes.pop("strategy", {})
    given = {"enabled": True, "strategies": {"s1": strategy}, "clean": True, **changes}
    return agrees(Served(**given), wanted)


def test_the_document_itself_agrees():
    assert _agreeing()


@pytest.mark.parametrize(
    "changes",
    [
        {"enabled": False}, {"clean": False}, {"strategies": {}}, {"strategy": {"segments": [1]}},
        {"strategy": {"disabled": True}}, {"strategy": {"constraints": [{"contextName": "x"}]}},
        {"strategy": {"name": "default"}}, {"strategy": {"parameters": {"rollout": "100"}}},
        {"strategy": {"variants": []}},
    ],
)  # fmt: skip
def test_whatever_else_a_server_has_does_not_agree(changes):
    assert not _agreeing(**changes)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:4242", "file:///etc/passwd", "http://", "http://u:p@host", "http://host:0", "http://host?x=1", "http://[::1"]
)  # fmt: skip
def test_an_address_that_is_none_is_refused(url):
    with pytest.raises(ConfigError):
        Unleash(url, "token")


def test_without_a_server_in_the_settings_nothing_stands_behind_the_record(tmp_path):
    settings, record = Settings.load(tmp_path, {"HOME": str(tmp_path)}), object()
    assert unleash.flags(settings, record, None) is record  # type: ignore[arg-type]  # passed through
    assert unleash.follower(settings, None) is None  # type: ignore[arg-type]
