"""A kill by command puts back the pins too: a service that starts without a flag server loads what was before."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from evoguard.adapters.sqlite import db
from evoguard.adapters.sqlite.flags import SqliteFlags
from evoguard.adapters.version_store import FileVersions
from evoguard.domain.canonical import canonical
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import Latch
from evoguard.domain.version import Version, Versions
from evoguard.errors import EvoguardError
from evoguard.settings import Settings
from evoguard.wiring import flags as wiring_flags
from evoguard.wiring import kill
from evoguard.wiring.going_back import go_back
from evoguard.wiring.init import init

OLD, NEW = (Version("letters", "prompt", {"p.txt": text}) for text in ("old", "new"))
NAMED = canonical(Versions("prompt", NEW.digest, OLD.digest).as_json()).decode()


def _state(flag: str, versions: str) -> FlagState:
    return FlagState(flag, "letters", "ch-0123456789ab", False, 100, "a" * 40, "b" * 40, 0, 0, versions)


async def test_a_kill_of_a_finished_release_pins_the_version_before_it(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, {"HOME": str(tmp_path)})
    store = FileVersions(settings.versions_dir)
    for version in (OLD, NEW):
        await store.keep(version.packed())
    for flag in ("one", "two"):
        store.pin_now(flag, OLD.digest)
        store.pin_now(flag, NEW.digest)
    lost = canonical(Versions("prompt", NEW.digest, Version("letters", "prompt", {}).digest).as_json()).decode()
    with pytest.raises(EvoguardError):  # said at the end: what could be put back was
        go_back(settings, [None, _state("lost", lost), _state("odd", "{"), _state("commits", ""), _state("one", NAMED)])
    assert store.pins("one").known_good == (OLD.digest,)
    assert store.pins("two").known_good == (NEW.digest, OLD.digest)


async def test_what_was_killed_is_not_handed_out_where_the_version_before_it_is_lost(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, {"HOME": str(tmp_path)})
    store = FileVersions(settings.versions_dir)
    for version in (OLD, NEW):
        await store.keep(version.packed())
    store.pin_now("one", OLD.digest)
    store.pin_now("one", NEW.digest)
    store.pin_now("two", NEW.digest)
    for path in (settings.versions_dir / "sha256").glob(f"??/{OLD.digest[9:]}"):
        path.unlink()
    with pytest.raises(EvoguardError, match="not in the store"):
        go_back(settings, [_state("one", NAMED), _state("two", NAMED)])
    assert store.pins("one").known_good == (OLD.digest,)
    assert store.pins("two").known_good == ()


async def test_a_flag_that_cannot_be_turned_off_keeps_no_other_one_on(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path / "state", {"HOME": str(tmp_path)})
    init(settings)
    con = db.connect(settings.database)
    with contextlib.closing(con):
        flags = SqliteFlags(con, wiring_flags.latches(settings))
        for flag in ("a-first", "b-second"):
            await flags.write(replace(_state(flag, ""), enabled=True))
        broken = (
            "create trigger broken before update on flags when old.flag='a-first' begin select raise(abort, 'x'); end"
        )
        con.execute(broken)
        with pytest.raises((EvoguardError, sqlite3.Error)):
            await kill._off_in_the_record(settings, Latch("k-1", 1, "all", "", "", "", 0))
        seen = {flag: await flags.read(flag) for flag in ("a-first", "b-second")}
    assert {flag: state.enabled for flag, state in seen.items() if state} == {"a-first": True, "b-second": False}
