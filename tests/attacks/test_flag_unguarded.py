"""The operator's own features document: it may add flags, and neither touch a guarded one nor weaken a kill."""

from __future__ import annotations

import json
import os
from contextlib import closing

import pytest

from contract.flags_suite import House, an_sdk, arrange, locked, on, opened, seen, until
from contract.test_flag_frontend import asked, names
from evoguard.adapters.sqlite.db import connect
from evoguard.adapters.sqlite.flags import SqliteFlags
from evoguard.adapters.unguarded_file import MOST_BYTES, UnguardedFile
from evoguard.domain.latch import LatchBoard
from evoguard.errors import InputError, UnavailableError
from evoguard.flags import document
from evoguard.flags.unguarded import parsed


@pytest.fixture
def house(tmp_path) -> House:
    return House(tmp_path)


def a_feature(name: str, **changes) -> dict:
    return {"name": name, "enabled": True, "strategies": [{"name": "default"}], **changes}


def give(house: House, *features: dict, **more) -> None:
    """Put a document there as a whole."""
    fresh = house.folder / "fresh"
    fresh.write_text(json.dumps({"features": [*features], **more}))
    fresh.replace(house.unguarded)


async def test_a_guarded_flag_keeps_its_rules_whatever_the_document_says(house):
    await house.write(percent=0)
    give(house, a_feature("lending"), a_feature("banner"))
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"], "banner")
        doc = (await client.get("/api/client/features/lending")).json()
        assert doc["strategies"][0]["parameters"]["rollout"] == "0"
        assert names(await asked(client, house, {"userId": "u"})) == ["banner"]
        await house.off()
        await seen(client, lambda d: not d["enabled"])


async def test_a_flag_that_a_change_waits_for_is_guarded_before_it_is_served(house):
    with closing(connect(house.database)) as con:
        opened(SqliteFlags(con, house.latches))
    give(house, a_feature("lending"), a_feature("banner"))
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"], "banner")
        assert (await client.get("/api/client/features/lending")).status_code == 404
        assert (await client.get("/internal/off")).json()["on"] == ["banner"]
    with locked(house.database, against="all"):  # known from the copy then
        async with house.client() as client:
            assert (await client.get("/api/client/features/banner")).status_code == 200
            assert (await client.get("/api/client/features/lending")).status_code == 404


@pytest.mark.parametrize(("scope", "name"), [("all", ""), ("flag", "banner")])
async def test_a_kill_covers_these_flags_too_and_is_acknowledged(house, scope, name):
    give(house, a_feature("banner"), a_feature("off", enabled=False))
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"], "banner")
        house.latches.kill(scope=scope, name=name)
        assert (await client.get("/api/client/features/banner")).json()["enabled"] is False
        assert names(await asked(client, house, {})) == []
        report = (await client.get("/internal/off")).json()
        assert report["on"] == []
        assert {"flag": "banner", "component": "", "reason": "killed", "kill": "k1"} in report["off"]
        assert [row["reason"] for row in report["off"] if row["flag"] == "off"] == (
            ["killed"] if scope == "all" else ["off"]
        )


async def test_unreadable_latches_turn_these_flags_off_too(house):
    give(house, a_feature("banner"))
    async with house.client() as client:
        await seen(client, lambda d: d["enabled"], "banner")
        house.latches.now = LatchBoard(unreadable=("k1.json",))
        assert (await client.get("/api/client/features/banner")).json()["enabled"] is False


def test_a_document_that_no_sdk_reads_is_refused_whole_and_a_kill_still_arrives(house):
    """An SDK drops a message that it cannot parse: what stood in it, a kill as well, would be lost."""
    arrange(house, percent=100)
    give(house, a_feature("banner"))
    with house.serving() as url, an_sdk(url, house, experimental_mode={"type": "streaming"}) as sdk:
        until(lambda: on(sdk) and sdk.is_enabled("banner"))
        give(house, a_feature("poison", strategies=[{"name": "default", "parameters": {"a": 1}}]))
        arrange(house, percent=100, change="ch-000000000009")  # read after the document was
        until(lambda: b"ch-000000000009" in json.dumps(sdk.get_variant("lending", {"userId": "user-1"})).encode())
        assert sdk.is_enabled("banner")
        house.latches.kill()
        until(lambda: not on(sdk))
        assert not sdk.is_enabled("banner")


async def test_what_is_wrong_with_the_document_is_told(house):
    house.unguarded.write_text("{")
    async with house.client() as client:
        assert "it is not JSON" in (await client.get("/health")).json()["unguarded"]
        give(house, a_feature("banner"))
        await seen(client, lambda d: d["enabled"], "banner")
        assert "unguarded" not in (await client.get("/health")).json()
        house.unguarded.unlink()
        while (await client.get("/api/client/features/banner")).status_code != 404:
            pass


@pytest.mark.parametrize(
    "raw",
    [b"", b"null", b"[]", b"\xff", b"[" * 60_000, b'{"features": 7}', b'{"features": [7]}', b'{"features": [{}]}',
     json.dumps({"features": [a_feature("a"), a_feature("a")]}).encode(),
     *[json.dumps({"features": [a_feature(name)]}).encode() for name in ("", "x" * 201, "a\nb", "a\u202e")],
     *[json.dumps({"features": [a_feature("a", **odd)]}).encode() for odd in (
         {"enabled": 1}, {"enabled": "true"}, {"strategies": 7}, {"strategies": [7]}, {"strategies": [{}]},
         {"strategies": [{"name": "default", "parameters": {"rollout": 50}}]}, {"variants": 7}, {"type": 7},
         {"strategies": [{"name": "default", "constraints": 7}]}, {"stale": "no"}, {"dependencies": 7},
         {"dependencies": [{"feature": 7}]}, {"variants": [{"name": 7}]}, {"more": 1.5})],
     b'{"features": [{"name": "\\ud800", "enabled": true}]}',
     *[json.dumps({"segments": rows}).encode() for rows in (
         [{"id": 1}], [{"id": "1", "constraints": []}], [{"id": True, "constraints": []}],
         [{"id": 1, "constraints": []}, {"id": 1, "constraints": []}], [{"id": 1 << 40, "constraints": []}],
         [{"id": 1, "constraints": [7]}])],
     json.dumps({"features": [a_feature(f"f{n}") for n in range(2_001)]}).encode(), b" " * (MOST_BYTES + 1)],
)  # fmt: skip
def test_a_document_out_of_order_is_refused(raw):
    with pytest.raises(InputError) as caught:
        parsed(raw)
    assert caught.value.code == "unguarded.invalid"
    assert len(caught.value.message) < 200


@pytest.mark.parametrize("kind", ["link", "pipe", "folder"])
def test_only_a_regular_file_is_read(tmp_path, kind):
    path = tmp_path / "unguarded-flags.json"
    if kind == "link":
        path.symlink_to("/dev/zero")
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(UnavailableError):
        UnguardedFile(path).newest()


def test_without_the_check_of_names_a_guarded_flag_would_be_overridden():
    """What the rule is worth: the same document, asked with nothing guarded."""
    beside = parsed(json.dumps({"features": [a_feature("lending")]}).encode())
    assert "lending" not in document.served((), LatchBoard(), beside, frozenset({"lending"})).features
    assert b'"enabled":true' in document.served((), LatchBoard(), beside).features["lending"]
