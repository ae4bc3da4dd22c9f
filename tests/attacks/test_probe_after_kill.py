"""After a kill an effect from before it is tried on purpose; a fence that is gone is seen at once."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from evoguard.adapters.git.forge import GitForge
from evoguard.adapters.git.probe import REF, refuses
from evoguard.adapters.sqlite import db
from evoguard.adapters.sqlite.flags import SqliteFlags
from evoguard.cli import exit_codes
from evoguard.cli.killing import _status
from evoguard.domain.flag import FlagState
from evoguard.kill import KillReport
from evoguard.settings import Settings
from evoguard.wiring import flags as flag_wiring
from evoguard.wiring.init import init
from evoguard.wiring.kill import run_kill
from given_git import a_fetched_change, a_publication, git


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    made = Settings.load(tmp_path / "state", {"HOME": str(tmp_path)})
    init(made)
    state = FlagState("lending", "scoring", "ch-000000000001", True, 10, "a" * 40, "b" * 40, 0, 0)
    with closing(db.connect(made.database)) as con:
        await SqliteFlags(con, flag_wiring.latches(made)).write(state)
    return made


async def probed(settings: Settings) -> tuple[KillReport, str, str]:
    report = await run_kill(settings, scope="flag", name="lending", reason="test", by="alice")
    (step,) = [step for step in report.steps if step.name == "probe"]
    return report, step.status, step.detail


async def test_what_was_decided_before_the_kill_is_refused(settings: Settings) -> None:
    _, status, detail = await probed(settings)
    assert (status, detail) == ("ok", "1 effects from before it are refused")


async def test_a_fence_that_is_gone_is_an_error_and_shows_nothing(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqliteFlags, "_fence", lambda *_: None)
    report, status, detail = await probed(settings)
    assert status == "failed"
    assert "NOT REFUSED: flag lending" in detail
    assert _status([report]) == exit_codes.ERROR
    with closing(db.connect(settings.database)) as con:
        assert con.execute("select enabled, percent from flags").fetchall() == [(0, 0)]


async def test_a_database_that_gives_no_answer_is_said_and_keeps_nothing_waiting(settings: Settings) -> None:
    with closing(db.connect(settings.database)) as con:
        con.execute("begin exclusive")
        _, status, detail = await probed(settings)
        con.execute("rollback")
    assert status == "skipped"
    assert "no answer: database" in detail


async def test_git_refuses_a_move_from_before_and_a_probe_leaves_nothing(tmp_path: Path) -> None:
    _, fetched = await a_fetched_change(tmp_path)
    what, repos = a_publication(fetched), tmp_path / "repos"
    forge = GitForge(repos)
    await forge.publish(what)
    assert not await refuses(repos, what.repo, 0)  # nothing was killed yet: it would be made
    await forge.raise_epoch_all(1)
    assert await refuses(repos, what.repo, 0)
    assert git(repos / f"{what.repo}.git", "for-each-ref", REF) == ""
