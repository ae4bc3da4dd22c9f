"""The gates of a kill: latch, epoch, flags, git, and the two people who lift it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from evoguard.domain.canonical import Json, canonical
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import Latch
from evoguard.errors import EvoguardError
from evoguard.exam.gate import Gate
from evoguard.exam.hall import Hall, Seen
from evoguard.exam.release_gates import _published
from evoguard.exam.surgery import Cut
from evoguard.flags.document import off_list
from evoguard.wiring.kill import run_lift
from evoguard.wiring.state import open_state

GRAPH, BOARD, FLAGS = "evoguard.flow.graph", "evoguard.domain.latch:LatchBoard", "evoguard.adapters.sqlite.flags"
LATCHES, LIFT = "evoguard.adapters.latches:FileLatches", "evoguard.kill:lift"
ON = FlagState("scoring", "scoring", "ch-0123456789ab", True, 10, "a" * 40, "b" * 40, 0, 0)


async def killed_while_it_waited(hall: Hall) -> Seen:
    """A kill comes while a change waits for people; it is approved and goes on."""
    change = await hall.submit()
    await hall.drive(change)
    await hall.kill()
    await hall.vote(change, "alice", "bob")
    await hall.drive(change)
    return await hall.outcome(change)


async def opened_without_a_kill_path(hall: Hall) -> Seen:
    """A rollout opens while no flag server runs that would serve a kill."""
    change = await hall.submit()
    await hall.carried(change)
    opened = "rollout.opened" in [item.event.type for item in await hall.events(change)]
    return Seen(opened, "opened" if opened else hall.driver.refused)


async def killed_and_lifted(hall: Hall) -> Seen:
    """A kill was lifted; what had been decided before it goes on."""
    change = await hall.submit()
    await hall.drive(change)
    await hall.lift(await hall.kill(), "alice", "bob")
    await hall.vote(change, "alice", "bob")
    await hall.drive(change)
    return await hall.outcome(change)


async def unreadable_before_release(hall: Hall) -> Seen:
    """A latch file is made unreadable, so that nobody knows what it kills."""
    change = await hall.submit()
    await hall.drive(change)
    (hall.settings.kill_dir / "kill-0123456789abcdef.json").write_text("{")
    await hall.vote(change, "alice", "bob")
    await hall.drive(change)
    return await hall.outcome(change)


async def flag_written_while_killed(hall: Hall) -> Seen:
    """A worker opens a flag while a kill covers it."""
    await hall.kill()
    await hall.driver.ports.flags.write(replace(ON, epoch=1))
    return Seen(True, "written")


async def flag_written_from_before(hall: Hall) -> Seen:
    """A worker that was frozen before a kill wakes after its lift and opens its flag."""
    await hall.lift(await hall.kill(), "alice", "bob")
    await hall.driver.ports.flags.write(ON)
    return Seen(True, "written")


async def flag_written_back(hall: Hall) -> Seen:
    """An older decision overwrites a later one about the same flag."""
    await hall.driver.ports.flags.write(replace(ON, epoch=3))
    await hall.driver.ports.flags.write(replace(ON, epoch=2))
    return Seen(True, "written")


async def served_while_killed(hall: Hall) -> Seen:
    """The flag server goes on serving a flag that is killed, for its row says on."""
    await hall.driver.ports.flags.write(ON)
    await hall.kill()
    row = replace(ON, epoch=1)  # the row was not reached by the kill
    served = off_list([row], hall.opened.latches.board(), known=True)
    return _served(served)


def _served(said: Mapping[str, Json]) -> Seen:
    off = said["off"]
    reasons = [str(row["reason"]) for row in off if isinstance(row, Mapping)] if isinstance(off, list) else []
    return Seen(said["on"] == ["scoring"], f"served off: {reasons[0]}" if reasons else "served on")


async def served_from_before(hall: Hall) -> Seen:
    """The flag server serves a row that was written before a kill and came back after its lift."""
    await hall.lift(await hall.kill(), "alice", "bob")
    served = off_list([ON], hall.opened.latches.board(), known=True)
    return _served(served)


async def published_from_before(hall: Hall) -> Seen:
    """A worker that was frozen before a kill publishes after it."""
    _, what = await _published(hall)
    await hall.driver.ports.forge.raise_epoch(what.repo, 1)  # type: ignore[attr-defined]  # git's own, as a kill asks
    return Seen(True, await hall.driver.ports.forge.publish(what))


async def published_first(hall: Hall) -> Seen:
    """A repository has its first publication after a kill that could not know it."""
    await hall.kill()
    _, what = await _published(hall)
    return Seen(True, await hall.driver.ports.forge.publish(what))


async def deleted_latch(hall: Hall) -> Seen:
    """A latch file is deleted before any worker wrote it down."""
    latch = await hall.kill()
    (hall.settings.kill_dir / f"{latch}.json").unlink()
    return await _fresh(hall)


async def forgotten_latch(hall: Hall) -> Seen:
    """A latch file that the log knows is deleted, and git's epoch is put back."""
    latch = await hall.kill()
    hall.opened.registry.reconcile(hall.opened.latches.board())
    (hall.settings.kill_dir / f"{latch}.json").unlink()
    (hall.settings.repos_dir / "epoch").unlink()
    return await _fresh(hall)


async def one_lifts(hall: Hall) -> Seen:
    """One person alone lifts a kill."""
    await hall.lift(await hall.kill(), "alice")
    return await _fresh(hall)


async def agent_lifts(hall: Hall) -> Seen:
    """An agent files the second lift."""
    return await _lifted(hall, "coder")


async def stranger_lifts(hall: Hall) -> Seen:
    """A lift in bob's name, signed by mallory, is laid into the folder."""
    latch = await hall.kill()
    await hall.lift(latch, "alice")
    _lay(hall, latch, "bob", hall.signed("lift", latch, "bob", key="mallory"))
    return await _fresh(hall)


async def agents_file(hall: Hall) -> Seen:
    """An agent's lift is laid into the folder."""
    latch = await hall.kill()
    await hall.lift(latch, "alice")
    _lay(hall, latch, "coder", hall.signed("lift", latch, "coder"))
    return await _fresh(hall)


async def lift_of_another_kill(hall: Hall) -> Seen:
    """Bob's lift of an earlier kill is laid under the name of this one."""
    latch = await hall.kill()
    await hall.lift(latch, "alice")
    _lay(hall, latch, "bob", hall.signed("lift", "kill-0123456789abcdef", "bob"))
    return await _fresh(hall)


async def expired_lift(hall: Hall) -> Seen:
    """A lift that bob signed long ago, and that had expired, is laid into the folder."""
    latch = await hall.kill()
    await hall.lift(latch, "alice")
    _lay(hall, latch, "bob", hall.signed("lift", latch, "bob", life_s=-60))
    return await _fresh(hall)


async def lifted_twice(hall: Hall) -> Seen:
    """One person files the lift a second time."""
    latch = await hall.kill()
    await hall.lift(latch, "alice", "alice")
    return Seen(True, "filed twice")


async def _lifted(hall: Hall, second: str) -> Seen:
    latch = await hall.kill()
    await hall.lift(latch, "alice")
    report = await run_lift(hall.settings, kill_id=latch, person=second, key=hall.folder / f"{second}.key")
    return Seen(report.lifted, f"lifted by {', '.join(report.people)}")


async def _fresh(hall: Hall) -> Seen:
    """Ask a process that has just started whether the component is killed."""
    opened = open_state(hall.settings)
    try:
        killed = opened.latches.board().killed(component="scoring", flag="scoring")
        return Seen(not killed, "killed" if killed else "no kill is in force")
    finally:
        opened.close()


def _lay(hall: Hall, latch: str, person: str, envelope: str) -> None:
    (hall.settings.kill_dir / "lifts" / f"{latch}.{person}.json").write_text(envelope)


async def leaping_latch(hall: Hall) -> Seen:
    """A latch with the highest number there is ends the numbering, so that the next kill fences nothing."""
    top = Latch("kill-00000000deadbeef", 2**40, "flag", "other", "exam", "mallory", 1)
    (hall.settings.kill_dir / f"{top.id}.json").write_bytes(canonical(top.as_json()))
    before = 2**40
    with suppress(EvoguardError):
        latch = await hall.kill()
        epochs = {x.id: x.epoch for x in hall.opened.latches.board().latches}
        before = epochs.get(latch, before)
    return Seen(before >= 2**40, f"the next kill has number {before}")


_COVERED = "board.killed(component=state.component, flag=state.flag)"
_OLD = "state.epoch < board.fence(component=state.component, flag=state.flag)"
GATES = (
    Gate("kill.look", Cut(f"{GRAPH}:kill_over", "board.killed(component=component, flag=flag)"), killed_while_it_waited,
         "change.killed", ("kill.since",)),
    Gate("kill.path", Cut("evoguard.flow.watch:watch", "await ports.kill_path.prove()", "None"),
         opened_without_a_kill_path, "unavailable.kill_path"),
    Gate("kill.since", Cut(f"{GRAPH}:kill_over", "x.epoch > since"), killed_and_lifted, "change.killed"),
    Gate("kill.unreadable", Cut(BOARD + ".killed", "bool(self.unreadable)"), unreadable_before_release, "halted"),
    Gate("flags.killed", Cut(f"{FLAGS}:SqliteFlags._fence", _COVERED), flag_written_while_killed, "fenced.killed"),
    Gate("flags.epoch", Cut(f"{FLAGS}:SqliteFlags._fence", _OLD), flag_written_from_before, "fenced.epoch"),
    Gate("flags.later", Cut(f"{FLAGS}:SqliteFlags.write", "stored is not None and stored.epoch > state.epoch"),
         flag_written_back, "fenced.epoch"),
    Gate("served.killed", Cut("evoguard.flags.document:off_reason", _COVERED), served_while_killed,
         "served off: killed"),
    Gate("served.epoch", Cut("evoguard.flags.document:off_reason", _OLD), served_from_before, "served off: fenced"),
    Gate("git.epoch", Cut("evoguard.adapters.git.moves:_fence_epoch", "now[EPOCH].id != blob_id(what.epoch)"),
         published_from_before, "fenced.epoch", ("git.epoch_in_transaction",)),
    Gate("git.epoch_in_transaction", Cut("evoguard.adapters.git.moves:_verify_epoch",
         "f'verify {EPOCH} {blob_id(what.epoch)}'", "f'option no-deref'"), published_from_before, "unavailable",
         ("git.epoch",)),
    Gate("git.epoch_of_new", Cut("evoguard.adapters.git.epochs:Epochs.ensure", "self.floor()", "0"), published_first,
         "fenced.epoch"),
    Gate("latch.git_floor", Cut(LATCHES + ".board",
         "floor > max((latch.epoch for latch in latches.values()), default=0)"), deleted_latch, "killed"),
    Gate("latch.log", Cut(LATCHES + ".board", "self._known()", "()"), forgotten_latch, "killed"),
    Gate("latch.leap", Cut("evoguard.domain.latch:highest_believed", "epoch > min(highest + MAX_LEAP, MAX_EPOCH)"),
         leaping_latch, "the next kill has number 1"),
    Gate("lift.two", Cut(LATCHES + ".board", "len(people.get(latches[key].id, ())) >= PEOPLE_TO_LIFT",
         "len(people.get(latches[key].id, ())) >= 1"), one_lifts, "killed"),
    Gate("lift.person", Cut(LIFT, "identity is None or identity.revoked or identity.kind != 'person'"), agent_lifts,
         "auth.person", ("lift.file_person",)),
    Gate("lift.file_person", Cut(LATCHES + "._proved", "identity is None or identity.kind != 'person'"), agents_file,
         "killed"),
    Gate("lift.file_signature", Cut("evoguard.adapters.dsse:unseal",
         "key.verify(signature, pae(kind, body), ec.ECDSA(hashes.SHA256()))", "None"), stranger_lifts, "killed"),
    Gate("lift.file_subject", Cut(LATCHES + "._proved", "command.purpose != 'lift' or command.subject != kill_id"),
         lift_of_another_kill, "killed"),
    Gate("lift.file_expiry", Cut(LATCHES + "._proved",
         "mark[4] >= command.expires * 1000000000 and (not (known and known.lifted))"), expired_lift, "killed"),
    Gate("lift.twice", Cut(LIFT, "identity.name in parts.lifters(kill_id)"), lifted_twice, "lift.twice",
         ("lift.own_key",)),
    Gate("lift.own_key", Cut("evoguard.kill:_own_key",
         "other is not None and other.public_pem == identity.public_pem"), lifted_twice, "lift.shared_key",
         ("lift.twice",)),
)  # fmt: skip
