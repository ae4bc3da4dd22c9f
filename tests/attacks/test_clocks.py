"""Clocks that are wrong: of an SDK, and of the host. The lease ends by the client's own clock."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from contract.flags_suite import House as FlagHouse
from contract.flags_suite import arrange
from evoguard.adapters.client_roll import ServedClients
from evoguard.domain.clients import Client, Roll, clocks_off
from evoguard.errors import UnavailableError
from house import House

NOW = 1_800_000_000_000


def a_roll(skew_ms: int) -> Roll:
    return Roll(NOW, (Client("ab" * 32, "shop", "one", NOW, skew_ms=skew_ms),))


async def wanting(house: House) -> str:
    """Return a change whose first stage has all that it needs to be widened."""
    change = await house.to_watch()
    house.traffic(change, units=400, percent=1)
    house.clock.wait(2)
    return change


@pytest.mark.parametrize("skew_ms", [-300_000, 300_000])
async def test_a_client_whose_clock_is_off_holds_widening_by_name_and_the_lease_goes_on(
    house: House, skew_ms: int
) -> None:
    change = await wanting(house)
    house.clients.found = a_roll(skew_ms)
    for _ in range(3):
        assert (await house.drive(change)).wake_at
    assert house.flags.states["lending-scoring"].percent == 1
    assert (await house.story(change)).count("rollout.held") == 1
    row = await house.queries.change(change)
    assert row is not None
    assert "shop/one#ababab" in row.detail
    until = house.flags.states["lending-scoring"].lease_until
    house.clock.wait(12)
    house.traffic(change, units=10, percent=1)
    await house.drive(change)
    assert house.flags.states["lending-scoring"].lease_until > until
    house.clients.found = a_roll(200)
    await house.drive(change)
    assert house.flags.states["lending-scoring"].percent == 10


async def test_no_answer_about_clocks_holds_as_well(house: House) -> None:
    change = await wanting(house)
    house.clients.fault = UnavailableError("clients", "down")
    await house.drive(change)
    assert house.flags.states["lending-scoring"].percent == 1


async def test_a_wrong_clock_keeps_no_abort_waiting(house: House) -> None:
    change = await house.to_watch()
    house.clients.found = a_roll(300_000)
    house.traffic(change, units=400, percent=50, bad_candidate=150)
    house.clock.wait(2)
    assert (await house.drive(change)).outcome == "reverted"


SHIFT = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
static long by(void) { const char *s = getenv("SHIFT_S"); return s ? atol(s) : 0; }
int clock_gettime(clockid_t which, struct timespec *at) {
  static int (*real)(clockid_t, struct timespec *);
  if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
  int done = real(which, at);
  if (which == CLOCK_REALTIME) at->tv_sec += by();
  return done;
}
int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now; int done = clock_gettime(CLOCK_REALTIME, &now);
  at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000; return done;
}
time_t time(time_t *at) {
  struct timespec now; clock_gettime(CLOCK_REALTIME, &now);
  if (at) *at = now.tv_sec; return now.tv_sec;
}
"""
SDK = """
import sys, time
from UnleashClient import UnleashClient
url, token = sys.argv[1:]
named = {"Authorization": token}
sdk = UnleashClient(url + "/api", "shop", refresh_interval=1, metrics_interval=1, custom_headers=named)
sdk.initialize_client()
print("ready", flush=True)
while True:
    print(sdk.is_enabled("lending", {"userId": "one"}), flush=True)
    time.sleep(0.2)
"""


@pytest.fixture(scope="module")
def shifted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clock")
    (folder / "shift.c").write_text(SHIFT)
    made = folder / "shift.so"
    command = ["cc", "-shared", "-fPIC", "-o", str(made), str(folder / "shift.c"), "-ldl"]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no C compiler")
    return made


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_stock_sdk_five_minutes_off_is_named_by_what_it_reports(tmp_path: Path, shifted: Path, minutes: int) -> None:
    house = FlagHouse(tmp_path)
    arrange(house, percent=100)
    with house.serving() as url:
        env = {**os.environ, "LD_PRELOAD": str(shifted), "SHIFT_S": str(minutes * 60), "HOME": str(tmp_path)}
        command = [sys.executable, "-c", SDK, url, house.read_token]
        with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as sdk:
            try:
                names: tuple[str, ...] = ()
                for _ in range(200):
                    roll = ServedClients(url, lambda: house.read_token).roll_now()
                    names = clocks_off(roll, lease_s=30)
                    if names:
                        break
                    time.sleep(0.05)
            finally:
                sdk.terminate()
        (client,) = roll.clients
        assert names == (client.name,)
        assert client.skew_ms is not None
        assert abs(client.skew_ms - minutes * 60_000) < 10_000


@pytest.mark.parametrize("hours", [-3, 3])
async def test_a_host_clock_that_is_set_leaves_the_lease_within_its_bound(house: House, hours: int) -> None:
    """Whatever the host's clock becomes, a renewed lease is one lease ahead of that clock, never hours."""
    change = await house.to_watch()
    house.clock.ms += hours * 3_600_000
    house.traffic(change, units=10, percent=1)
    await house.drive(change)
    state = house.flags.states["lending-scoring"]
    left_s = state.lease_until - house.clock.wall_ms() // 1000
    assert left_s <= house.ports.pace.lease_s or not state.enabled
    assert state.percent <= 1
