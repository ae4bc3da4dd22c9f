"""A model that is rolled out by digest, met by callers through the stock SDK, and taken back on their evidence."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import aiohttp
import pytest
from UnleashClient.constants import FEATURES_URL

from evoguard.adapters.version_store import FileVersions
from evoguard.domain.version import unpacked
from evoguard.edge.flagging import MemoryCache
from evoguard.wiring.flags import token
from evoguard.wiring.loading import loader
from real_house import LENDING, RealHouse

pytestmark = pytest.mark.needs_gvisor


async def test_a_bad_model_is_taken_back_to_the_known_good_model_by_its_callers(
    real: RealHouse, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.syspath_prepend(str(LENDING))
    from counting import Counting
    from writer import FLAG, Writer, built_in, open_client, write_to

    store = FileVersions(real.settings.versions_dir)
    change = await real.propose("letters-brief")
    async with real.worker(), aiohttp.ClientSession() as http:
        await real.roll_out(change)
        opened = store.pins(FLAG)
        cache, url = MemoryCache(), real.settings.flags_url
        client = await asyncio.to_thread(open_client, url, token(real.settings, "flags.read"), cache)
        versions = loader(client, cache, real.settings.versions_dir, {FLAG: built_in()})
        request.addfinalizer(client.destroy)
        counting = Counting(url, token(real.settings, "kpi.write"), http)
        by_model: Counter[str] = Counter()
        for first in range(0, 20_000, 200):
            by_model.update(await write_to(range(first, first + 200), Writer(versions), cache, counting))
            if await real.status(change) == "reverted":
                break
        assert by_model["house-writer-2"] > 0
        assert (await _aborted(real, change))["code"] == "rollout.kpi_worse"
        await _until_off(cache)
        after = await write_to(range(600), Writer(versions), cache, counting)
    assert after == {"house-writer-1": 600}
    # Known-good is served while the SDK polls late on a busy machine, and where the kill falls between two looks at the
    # flag; anything else would be a fault of the version that was rolled out.
    assert set(versions.fallbacks) <= {"versions.silent", "versions.turned_off"}
    pins = store.pins(FLAG)
    assert pins.candidate is None
    assert pins.known_good == opened.known_good
    assert json.loads(unpacked(store.read(pins.known_good[0])).files["writer/model.json"])["id"] == "house-writer-1"
    assert opened.candidate
    _proposed_is_gone_from_git(real.repo)


async def _aborted(real: RealHouse, change: str) -> Mapping[str, object]:
    events = await real.opened.queries.events(f"change/{change}")
    (body,) = [item.event.body for item in events if item.event.type == "rollout.aborted"]
    return body


async def _until_off(cache: MemoryCache) -> None:
    for _ in range(200):
        if not json.loads(cache.get(FEATURES_URL))["features"][0]["enabled"]:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the SDK never saw the flag off")


def _proposed_is_gone_from_git(repo: Path) -> None:
    import subprocess

    shown = ["git", "--git-dir", str(repo), "show", "refs/heads/release/letters:writer/model.json"]
    assert "house-writer-1" in subprocess.run(shown, check=True, capture_output=True, text=True).stdout
