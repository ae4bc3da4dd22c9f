"""All recorded decisions under other rules: in one process and in several, and begun again where it was stopped."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from pathlib import Path

import pytest

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.adapters.sqlite.queries import SqliteQueries
from evoguard.domain.backtest import Recorded
from evoguard.errors import EvoguardError
from evoguard.views import past as views_past
from evoguard.wiring import askers, backtest
from unit.cli.installed import Installed
from unit.cli.recorded import HELD, edited


def cores(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Have pages of one decision and so many processors."""
    monkeypatch.setattr(views_past, "PAGE", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(count)))


def test_a_backtest_that_was_stopped_goes_on_and_says_the_same(
    past: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tight, file = str(edited(tmp_path / "tight", max_files=10)), tmp_path / "far.json"
    whole = past.json("policy", "backtest", "--bundle", tight).doc
    cores(monkeypatch, 1)
    monkeypatch.setattr(backtest, "KEPT_EVERY", 1)
    asked = askers.again

    async def dies(rules: OpaWasmPolicies, one: Recorded) -> object:
        if one.change == HELD:
            raise KeyboardInterrupt
        return await asked(rules, one)

    monkeypatch.setattr(askers, "again", dies)
    words = ("policy", "backtest", "--bundle", tight, "--resume", str(file))
    assert past.json(*words).code == 130
    assert json.loads(file.read_text())["tally"]["turns"] == {"unchanged": 1, "newly denied": 1}
    seen: list[str] = []

    async def counts(rules: OpaWasmPolicies, one: Recorded) -> object:
        seen.append(one.change)
        return await asked(rules, one)

    monkeypatch.setattr(askers, "again", counts)
    assert (past.json(*words).doc, seen) == (whole, [HELD])
    assert (past.json(*words).doc, seen) == (whole, [HELD])


def test_several_processes_say_what_one_says_in_the_same_order(
    past: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    tight = str(edited(tmp_path / "tight", max_files=10))
    alone = past.json("policy", "backtest", "--bundle", tight).doc
    cores(monkeypatch, 2)
    here: list[str] = []

    async def none(_rules: OpaWasmPolicies, one: Recorded) -> object:
        here.append(one.change)
        raise AssertionError("asked in this process")

    monkeypatch.setattr(askers, "again", none)
    assert (past.json("policy", "backtest", "--bundle", tight).doc, here) == (alone, [])


class Deadly:
    """Ends the process that unpacks it."""

    def __reduce__(self) -> object:
        return os._exit, (3,)


async def gone_through(asker: askers.Asker, bundle: object) -> int:
    """Ask for everything; `bundle` is what the processes are told, whatever the one here has."""
    async with contextlib.aclosing(askers.turns(asker, bundle, 0, 0)) as pages:  # type: ignore[arg-type]
        return len([page async for page in pages])


@pytest.mark.parametrize(
    ("told", "code", "says"),
    [
        (Path("/nonexistent"), "policy.bundle", "is not a folder with a bundle"),
        ("tight", "integrity.policies", "other rules came into force"),
        (Deadly(), "unavailable.policies", "has ended"),
    ],
    ids=["an error", "other rules", "death"],
)
def test_what_befalls_a_process_that_asks_is_an_error_and_never_an_answer(
    past: Installed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: object, code: str, says: str
):
    cores(monkeypatch, 2)
    asker = askers.Asker(past.settings, None)
    told = edited(tmp_path / "tight", max_files=10) if told == "tight" else told
    with contextlib.closing(asker.opened), pytest.raises(EvoguardError, match=says) as caught:
        asyncio.run(gone_through(asker, told))
    assert caught.value.code == code


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"asked": {}, "place": -1, "tally": {}}', '{"place": 1}'])
def test_a_file_of_another_backtest_is_refused_and_left_alone(past: Installed, tmp_path: Path, text: str):
    file = tmp_path / "far.json"
    file.write_text(text)
    answer = past.json("policy", "backtest", "--resume", str(file))
    assert (answer.code, answer.error["code"], file.read_text()) == (2, "policy.resume", text)
    file.unlink()
    assert past.json("policy", "backtest", "--resume", str(file)).code == 0
    other = past.json("policy", "backtest", "--resume", str(file), "--since", "2029-01-01")
    assert (other.code, other.error["code"]) == (2, "policy.resume")


def test_no_decision_is_left_out_however_many_changes_there_are(past: Installed, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(views_past, "PAGE", 1)
    monkeypatch.setattr(SqliteQueries.changes, "__kwdefaults__", {"open_only": False, "limit": 1})
    assert past.json("policy", "backtest").doc["decisions"] == 3
