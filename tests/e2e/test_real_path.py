"""The whole guard on real parts: git, gVisor, compiled policies, signatures, SQLite. The test writes the traffic."""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from evoguard.adapters import latch_files
from evoguard.adapters.signer import LocalSigner
from evoguard.adapters.sqlite import audit
from evoguard.domain.attestation import check_vsa
from evoguard.domain.canonical import as_digest
from evoguard.domain.latch import Latch
from evoguard.errors import InputError
from evoguard.flow.runs import advance
from evoguard.wiring import flow
from evoguard.wiring.capsule import capsule
from evoguard.wiring.kill import bundles, run_kill, run_lift
from evoguard.wiring.state import open_state
from real_house import RealHouse

VERIFY = Path(__file__).parents[2] / "deploy" / "tools" / "verify_capsule.py"
pytestmark = pytest.mark.needs_gvisor


def _git(repo: Path, *words: str) -> str:
    return subprocess.run(
        ["git", "--git-dir", str(repo), *words], check=True, capture_output=True, text=True
    ).stdout.strip()


async def _healthy(real: RealHouse, change: str) -> None:
    """Post what a healthy candidate causes, until the rollout ends."""
    for number in range(400):
        row = await real.opened.queries.change(change)
        assert row is not None
        if row.outcome:
            return
        percent = row.stage_percent or 1
        real.post(change, number, units=1000, percent=percent, bad=((100 - percent) // 2, percent // 2))
        await asyncio.sleep(0.3)


async def test_a_good_change_goes_from_proposal_to_known_good_and_a_stranger_can_verify_it(real: RealHouse) -> None:
    change = await real.propose("p1")
    async with real.worker():
        await real.roll_out(change)
        await _healthy(real, change)
    story = await real.story(change)
    assert story[-1] == "change.known_good"
    events = await real.opened.queries.events(f"change/{change}")
    by_type = {e.event.type: e.event.body for e in events}
    commit = str(by_type["release.published"]["commit"])
    assert _git(real.repo, "rev-parse", f"{commit}^{{tree}}") == by_type["change.submitted"]["tree"]
    assert _git(real.repo, "rev-parse", "refs/evoguard/known-good/scoring") == commit
    stranger = LocalSigner(None, real.settings.service_pub.read_bytes())
    bundle = await real.opened.artifacts.get(as_digest(str(by_type["change.attested"]["attestation"])))
    statement = await stranger.verify(bundle)
    policy = as_digest(str(by_type["change.judged"]["bundle"]))
    verifier = flow.verifier(real.opened)
    now = real.opened.clock.now_ms() // 1000
    assert (
        check_vsa(statement, tree=str(by_type["change.submitted"]["tree"]), policy=policy, verifier=verifier, now_s=now)
        == []
    )
    (real.settings.state.parent / "c").write_bytes(await capsule(real.settings, change))
    tool = [sys.executable, "-I", str(VERIFY), str(real.settings.state.parent / "c"), "--key"]
    asked = subprocess.run([*tool, str(real.settings.service_pub)], capture_output=True, text=True, check=True)
    assert asked.stdout.splitlines()[-1] == "same"
    assert check_vsa(statement, tree="0" * 40, policy=policy, verifier=verifier, now_s=now)
    report = await audit.verify(real.opened.con, stranger)
    assert report.problems == ()
    assert report.unsigned_tail == 0
    await _killed_and_taken_back(real)


async def _killed_and_taken_back(real: RealHouse) -> None:
    """Kill the finished release, twice: git goes to the release before it, once."""
    before = _git(real.repo, "rev-parse", "refs/evoguard/previous/scoring")
    killed = await run_kill(real.settings, scope="component", name="scoring", reason="wrong after all", by="alice")
    tip = _git(real.repo, "rev-parse", "refs/heads/release/scoring")
    assert [line.rpartition(" ")[2] for line in killed.reverted] == [tip]
    assert _git(real.repo, "rev-parse", f"{tip}^{{tree}}") == _git(real.repo, "rev-parse", f"{before}^{{tree}}")
    assert _git(real.repo, "rev-parse", "refs/evoguard/known-good/scoring") == before
    again = await run_kill(real.settings, scope="component", name="scoring", reason="twice", by="alice")
    assert again.reverted == ()
    assert _git(real.repo, "rev-parse", "refs/heads/release/scoring") == tip


@pytest.mark.parametrize(
    ("name", "step", "word"),
    [
        ("p3a", "check", "conftest.py"),
        ("p3b", "check", "exit"),
        ("p4a", "check", "192.0.2.1"),
        ("p4b", "judge", "policies/"),
    ],
)
async def test_a_cheat_is_refused_where_it_must_be_and_named(real: RealHouse, name: str, step: str, word: str) -> None:
    change = await real.propose(name)
    async with real.worker():
        await real.until(change, "refused")
    last = await real.last(change)
    assert last["step"] == step
    assert word in json.dumps(last["findings"])
    assert not (real.repo / "refs" / "heads" / "release").exists()


async def test_a_worse_candidate_is_reverted_in_git_by_evidence(real: RealHouse) -> None:
    change = await real.propose("p1")
    async with real.worker():
        await real.roll_out(change)
        known_good = _git(real.repo, "rev-parse", "refs/evoguard/known-good/scoring")
        for number in range(40):
            real.post(change, number, units=200, percent=10, bad=(9, 5))
        await real.until(change, "reverted")
    tip = _git(real.repo, "rev-parse", "refs/heads/release/scoring")
    assert tip != known_good
    assert _git(real.repo, "rev-parse", f"{tip}^{{tree}}") == _git(real.repo, "rev-parse", f"{known_good}^{{tree}}")
    assert "rollout.aborted" in await real.story(change)
    author = "agent-scorer"
    assert await real.opened.queries.held(author)
    with pytest.raises(InputError, match="no such kill"):
        await run_lift(real.settings, kill_id="abort-ch-000000000000", person="bob", key=real.folder / "bob.key")
    for name in ("alice", "bob"):
        await run_lift(real.settings, kill_id=f"abort-{change}", person=name, key=real.folder / f"{name}.key")
    async with real.worker():
        for _ in range(100):
            if not await real.opened.queries.held(author):
                break
            await asyncio.sleep(0.05)
    assert not await real.opened.queries.held(author)


async def test_a_kill_works_while_another_process_holds_the_database(real: RealHouse) -> None:
    change = await real.propose("p1")
    async with real.worker():
        await real.roll_out(change)
    known_good = _git(real.repo, "rev-parse", "refs/evoguard/known-good/scoring^{tree}")
    other = sqlite3.connect(real.settings.database, isolation_level=None)
    other.execute("begin exclusive")
    report = await run_kill(real.settings, scope="component", name="scoring", reason="test", by="alice")
    other.execute("rollback")
    other.close()
    assert report.latched
    (ahead,), _ = bundles(real.settings).every()
    assert report.reverted == (f"{ahead.repo} {ahead.branch} {ahead.revert}",)
    assert _git(real.repo, "rev-parse", "refs/heads/release/scoring^{tree}") == known_good
    async with real.worker():
        await real.until(change, "killed")
    assert bundles(real.settings).every() == ((), ())
    assert await real.opened.queries.held("agent-scorer")
    alice, bob = real.folder / "alice.key", real.folder / "bob.key"
    assert not (await run_lift(real.settings, kill_id=report.latch.id, person="alice", key=alice)).lifted
    assert (await run_lift(real.settings, kill_id=report.latch.id, person="bob", key=bob)).lifted


async def test_a_kill_while_the_repository_is_away_is_finished_when_it_is_back(real: RealHouse) -> None:
    change = await real.propose("p1")
    async with real.worker():
        await real.roll_out(change)
    repo = real.repo
    known_good = _git(repo, "rev-parse", "refs/evoguard/known-good/scoring^{tree}")
    away = repo.rename(real.folder / "away.git")
    report = await run_kill(real.settings, scope="flag", name="lending-scoring", reason="test", by="alice")
    assert (report.latched, report.acknowledged, report.reverted) == (True, True, ())
    assert any("git owes the revert" in step.detail for step in report.steps)
    away.rename(repo)
    async with real.worker():
        await real.until(change, "killed")
    assert _git(repo, "rev-parse", "refs/heads/release/scoring^{tree}") == known_good
    assert bundles(real.settings).owed() == ()


async def test_a_kill_command_that_died_after_its_latch_is_finished_by_the_worker(real: RealHouse) -> None:
    """Only the latch was written: the component is killed, and others are not kept from releasing."""
    change = await real.propose("p1")
    async with real.worker():
        await real.roll_out(change)
        latch_files.write_latch(real.settings.kill_dir, Latch("", 0, "component", "scoring", "died early", "alice", 1))
        await real.until(change, "killed")
        other = await real.propose("p2")
        await real.roll_out(other)
    known_good = _git(real.repo, "rev-parse", "refs/evoguard/known-good/scoring^{tree}")
    assert _git(real.repo, "rev-parse", "refs/heads/release/scoring^{tree}") == known_good


async def test_a_kill_whose_latch_was_taken_away_before_anybody_saw_it_is_still_in_force(real: RealHouse) -> None:
    change = await real.propose("p1")
    async with real.worker():
        await real.roll_out(change)
    report = await run_kill(real.settings, scope="all", name="", reason="test", by="alice")
    (real.settings.kill_dir / f"{report.latch.id}.json").unlink()
    real.opened.close()
    real.opened = open_state(real.settings)  # a process that has seen nothing
    assert real.opened.latches.board().unreadable
    async with real.worker():
        await real.until(change, "killed")
    flag = real.opened.con.execute("select enabled from flags").fetchone()
    assert flag == (0,)
    # the way back: kill again, which writes a latch above that epoch, and let two people lift it
    again = await run_kill(real.settings, scope="all", name="", reason="mend", by="alice")
    assert again.latch.epoch > report.latch.epoch
    assert not real.opened.latches.board().unreadable


async def test_a_worker_frozen_before_publishing_and_woken_after_a_kill_opens_nothing(
    real: RealHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evoguard.adapters.git.forge import GitForge

    change = await real.propose("p1")
    async with real.worker():
        await real.until(change, "waiting for approval")
    await real.approve(change)
    house = flow.ports(real.opened)
    graph = flow.app(real.opened)
    original = GitForge.publish

    async def frozen(self, what):
        """Everything was decided; the kill comes before git is asked."""
        await run_kill(real.settings, scope="all", name="", reason="while it was frozen", by="alice")
        return await original(self, what)

    monkeypatch.setattr(GitForge, "publish", frozen)
    with pytest.raises(Exception, match="kill"):
        await advance(graph, house, change)
    done = await advance(graph, house, change)
    assert done.outcome == "killed"
    assert real.opened.con.execute("select count(*) from flags").fetchone()[0] == 0
    assert "release.published" not in await real.story(change)


def _work(folder: str) -> None:
    """A worker in a process of its own, to be killed."""
    from evoguard.settings import Settings

    async def main() -> None:
        with flow.worker(Settings.load(Path(folder) / "state", {"HOME": folder})) as made:
            await made.run(asyncio.Event())

    asyncio.run(main())


async def _nudge(real: RealHouse, change: str) -> str:
    """Do what people and traffic do at this moment; return the status."""
    status = await real.status(change)
    if status == "waiting for approval" and not await real.opened.inbox.pending(change):
        await real.approve(change)
    if status == "rolling out":
        row = await real.opened.queries.change(change)
        percent = row.stage_percent if row else 1
        number = real.opened.con.execute("select count(*) from kpi").fetchone()[0]
        real.post(change, number, units=2500, percent=percent, bad=(100 - percent, percent))
    await asyncio.sleep(0.1)
    return status


async def test_kill_9_of_the_worker_at_several_moments_loses_and_repeats_nothing(real: RealHouse) -> None:
    change = await real.propose("p1")
    spawn = multiprocessing.get_context("spawn")
    for moment in range(5):
        process = spawn.Process(target=_work, args=(str(real.folder),), daemon=True)
        process.start()
        for _ in range(20 + 7 * moment):
            if await _nudge(real, change) == "known-good":
                break
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
    async with real.worker():
        for _ in range(900):
            if await _nudge(real, change) == "known-good":
                break
    story = await real.story(change)
    row = await real.opened.queries.change(change)
    assert story[-1] == "change.known_good", row
    once = [e for e in story if e not in ("rollout.widened", "approval.recorded")]
    assert len(once) == len(set(once))
    assert _git(real.repo, "rev-list", "--count", "refs/evoguard/previous/scoring..refs/heads/release/scoring") == "1"
