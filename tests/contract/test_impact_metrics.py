"""Impact metrics of a stock SDK over real sockets: self-reported batches, enough to abort and never to promote."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing

import httpx
import pytest
from UnleashClient import UnleashClient
from UnleashClient.impact_metrics import MetricFlagContext

from contract.flags_suite import House, an_sdk, arrange, locked, on, until
from evoguard.adapters.sqlite.db import connect
from evoguard.adapters.sqlite.kpis import SqliteKpis
from evoguard.domain.fold import StageEntry, tally_of
from evoguard.domain.kpi import KpiBatch
from evoguard.flags.impact_metrics import read

CHANGE = "ch-000000000001"
COUNTERS = read(b"[lending]\nstateless = true\nrequests = 'requests'\nbad = {errors = 'failed'}\n")


@pytest.fixture
def house(tmp_path) -> House:
    made = House(tmp_path)
    arrange(made, percent=50)
    return made


def kept(house: House) -> tuple[KpiBatch, ...]:
    with closing(connect(house.database)) as con:
        return asyncio.run(SqliteKpis(con).batches(CHANGE))


def request(sdk: UnleashClient, user: str, *, bad: bool) -> None:
    """Count one request of a user as a service does."""
    about = MetricFlagContext(["lending"], {"userId": user})
    sdk.impact_metrics.increment_counter("requests", 1, about)
    if bad:
        sdk.impact_metrics.increment_counter("failed", 1, about)


def counting(sdk: UnleashClient) -> UnleashClient:
    sdk.impact_metrics.define_counter("requests", "all requests")
    sdk.impact_metrics.define_counter("failed", "requests that failed")
    return sdk


def sums(batches: tuple[KpiBatch, ...]) -> tuple[int, int, int, int]:
    """Return requests and bad ones, of the candidate and of known-good."""
    arms = [event.arm for batch in batches for event in batch.bad]
    return (sum(b.exposed_candidate for b in batches), arms.count("candidate"),
            sum(b.exposed_known_good for b in batches), arms.count("known_good"))  # fmt: skip


def test_what_a_stock_sdk_counts_is_kept_by_arm_and_weighs_against_the_candidate_alone(house: House):
    with house.serving(counters=COUNTERS) as url, an_sdk(url, house) as sdk:
        until(lambda: on(counting(sdk), "user-0") is not None and any(on(sdk, f"user-{n}") for n in range(20)))
        request(sdk, "user-0", bad=False)
        until(lambda: reported(house))  # what came first may be of the time before the rollout, and counts nothing
        time.sleep(1.5)
        before = sums(kept(house))
        candidate = 0
        for start in range(0, 800, 200):
            new = {f"u{n}": on(sdk, f"u{n}") for n in range(start, start + 200)}
            for user, is_new in new.items():
                request(sdk, user, bad=is_new)
            candidate += sum(new.values())
            until(lambda wanted=before[0] + candidate: sums(kept(house))[0] == wanted)  # type: ignore[misc]
    batches = kept(house)
    assert sums(batches) == (candidate + before[0], candidate + before[1], 800 - candidate + before[2], before[3])
    assert {batch.assurance for batch in batches} == {"self-reported"}
    at = max(batch.at for batch in batches)
    tally = tally_of({"errors": 200}, (StageEntry(50, at - 60_000),), batches, at + 1)
    assert tally.aborts["errors"] > 100  # logarithms of e-values
    assert tally.promotes["errors"] == 0


def reported(house: House) -> bool:
    with closing(connect(house.database)) as con:
        return con.execute("select 1 from sdk_seen where body like '%lending%'").fetchone() is not None


def test_without_an_operators_word_nothing_of_it_is_kept(house: House):
    body = {"appName": "a", "impactMetrics": [{"name": "requests", "type": "counter", "samples": [
        {"labels": {"lending": "versions"}, "value": 9}]}]}  # fmt: skip
    with house.serving() as url:
        for _ in range(3):
            assert posted(url, house, body).status_code == 202
    assert kept(house) == ()


def test_what_cannot_be_kept_is_not_taken_so_that_the_sdk_sends_it_again(house: House):
    body = {"appName": "a", "impactMetrics": [{"name": "requests", "type": "counter", "samples": [
        {"labels": {"lending": "versions"}, "value": 9}]}]}  # fmt: skip
    with house.serving(counters=COUNTERS) as url:
        assert posted(url, house, body).status_code == 202
        with locked(house.database):
            assert posted(url, house, body).status_code == 503
        assert posted(url, house, body).status_code == 202
    assert [batch.exposed_candidate for batch in kept(house)] == [9]


def posted(url: str, house: House, body: object) -> httpx.Response:
    return httpx.post(f"{url}/api/client/metrics", json=body, headers={"Authorization": house.read_token}, timeout=30)
