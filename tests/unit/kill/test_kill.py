from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from evoguard.adapters.latch_files import write_latch
from evoguard.domain.latch import Latch
from evoguard.errors import InputError, IntegrityError, UnavailableError
from evoguard.kill import Acknowledgement, KillParts, KillReport, kill
from unit.kill.killing import NOW, Hanging, Plant, a_folder, as_nobody


async def killed(parts: KillParts, **changes: object) -> KillReport:
    order: dict[str, Any] = {"scope": "all", "name": "", "reason": "error rate", "by": "ada", "now": NOW, **changes}
    return await kill(parts, **order)


def statuses(report: KillReport) -> dict[str, str]:
    return {step.name: step.status for step in report.steps}


def detail(report: KillReport, name: str) -> str:
    return next(step.detail for step in report.steps if step.name == name)


async def raising(_latch: Latch) -> tuple[str, ...]:
    raise IntegrityError("the branch conflicts with its known-good", fix="revert by hand")


async def test_a_kill_latches_first_and_reports_every_step(plant: Plant):
    report = await killed(plant.parts(), scope="component", name="scoring")
    assert plant.did == ["latch 1", "flags_off 1", "acknowledge 1", "revert 1"]
    assert report.ok
    assert report.acknowledged
    assert report.confirmed == ("lending-scoring",)
    assert report.reverted == ("scoring",)
    assert plant.latches().board().killed(component="scoring", flag="")
    assert json.loads(json.dumps(report.as_json()))["latch"]["epoch"] == 1


async def test_a_kill_without_a_flag_writer_skips_that_step(plant: Plant):
    report = await killed(plant.parts(flags_off=None))
    assert statuses(report) == {"latch": "ok", "flags_off": "skipped", "acknowledge": "ok", "revert": "ok"}
    assert report.ok


@pytest.mark.parametrize("part", ["flags_off", "acknowledge", "revert"])
async def test_a_part_that_raises_stops_no_other(plant: Plant, part: str):
    report = await killed(plant.parts(**{part: raising}))
    assert [name for name, status in statuses(report).items() if status == "failed"] == [part]
    assert "conflicts with its known-good (revert by hand)" in detail(report, part)
    assert report.latched
    assert not report.ok
    assert plant.latches().board().killed(component="", flag="")


@pytest.mark.parametrize("part", ["flags_off", "acknowledge", "revert"])
async def test_a_part_that_hangs_is_cut_and_stops_no_other(plant: Plant, hanging: Hanging, part: str):
    boxes = {"flags_s": 0.05, "acknowledge_s": 0.05, "revert_s": 0.05}
    working = {"flags_s": 60.0, "acknowledge_s": 60.0, "revert_s": 60.0}
    box = {"flags_off": "flags_s", "acknowledge": "acknowledge_s", "revert": "revert_s"}[part]
    report = await killed(plant.parts(**{**working, box: boxes[box], part: hanging}))
    assert [name for name, status in statuses(report).items() if status == "failed"] == [part]
    assert "no answer within 0.05 s" in detail(report, part)
    assert len(plant.did) == 3
    assert plant.latches().board().killed(component="", flag="")


async def test_everything_around_the_latch_may_be_dead(plant: Plant, hanging: Hanging):
    dead = {"flags_off": hanging, "acknowledge": raising, "revert": hanging, "flags_s": 0.05, "revert_s": 0.05}
    report = await killed(plant.parts(**dead))
    assert report.latched
    assert not report.acknowledged
    assert (report.confirmed, report.reverted) == ((), ())
    assert plant.latches().board().latches == (report.latch,)


async def test_a_flag_server_that_does_not_answer_is_reported_as_not_confirmed(plant: Plant):
    report = await killed(plant.parts(acknowledge=raising))
    assert detail(report, "acknowledge").startswith("not confirmed")
    assert "SDKs keep their last state until the lease ends" in detail(report, "acknowledge")


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (Acknowledgement(off=("a",)), "ok"),
        (Acknowledgement(off=("a",), epoch=1), "ok"),
        (Acknowledgement(off=("a",), epoch=0), "failed"),
        (Acknowledgement(off=("a",), on=("b",)), "failed"),
        (Acknowledgement(off=()), "skipped"),
    ],
)
async def test_only_flags_that_are_off_under_this_kill_confirm_it(plant: Plant, said: Acknowledgement, status: str):
    async def acknowledge(_latch: Latch) -> Acknowledgement:
        return said

    report = await killed(plant.parts(acknowledge=acknowledge))
    assert statuses(report)["acknowledge"] == status
    assert report.acknowledged is (status == "ok")
    assert report.still_on == said.on


async def test_a_folder_that_refuses_is_said_clearly_and_everything_else_is_still_tried(plant: Plant):
    with tempfile.TemporaryDirectory() as made:
        top = Path(made)
        top.chmod(0o755)
        folder = a_folder(top)
        folder.chmod(0o555)
        with as_nobody():
            report = await killed(plant.parts(latches=lambda latch: write_latch(folder, latch)))
        folder.chmod(0o755)
    assert not report.latched
    assert not report.ok
    assert "NOTHING IS LATCHED" in detail(report, "latch")
    assert plant.did == ["flags_off 0", "acknowledge 0", "revert 0"]


async def test_a_disk_that_hangs_latches_nothing_and_everything_else_is_still_tried(plant: Plant, hanging: Hanging):
    report = await killed(plant.parts(latches=hanging.write, latch_s=0.05))
    assert not report.latched
    assert plant.did == ["flags_off 0", "acknowledge 0", "revert 0"]


async def test_a_writer_that_gives_no_latch_has_latched_nothing(plant: Plant):
    report = await killed(plant.parts(latches=lambda latch: None))
    assert not report.latched
    assert statuses(report)["latch"] == "failed"


async def test_two_kills_at_once_both_hold(plant: Plant):
    reports = await asyncio.gather(
        killed(plant.parts(latch_s=60)), killed(plant.parts(latch_s=60), scope="flag", name="x")
    )
    assert sorted(report.latch.epoch for report in reports) == [1, 2]
    assert len({report.latch.id for report in reports}) == 2


@pytest.mark.parametrize("err", [SystemExit(1), KeyboardInterrupt(), asyncio.CancelledError(), RecursionError()])
async def test_a_part_cannot_end_the_kill(plant: Plant, err: BaseException):
    async def rude(_latch: Latch) -> None:
        raise err

    report = await killed(plant.parts(flags_off=rude))
    assert report.latched
    assert plant.did[-1] == "revert 1"


async def test_what_a_part_complains_about_is_shown_without_control_characters(plant: Plant):
    async def rude(_latch: Latch) -> None:
        raise UnavailableError("flags", "\x1b[2Jall is well" + "!" * 1000)

    shown = detail(await killed(plant.parts(flags_off=rude)), "flags_off")
    assert shown.startswith("flags: ?[2Jall is well")
    assert len(shown) < 500


@pytest.mark.parametrize(
    "changes",
    [
        {"reason": ""},
        {"reason": "   "},
        {"reason": "x" * 501},
        {"reason": "two\nlines"},
        {"reason": "\x1b[31mred"},
        {"reason": "turned \u202e around"},
        {"reason": "line\u2028separator"},
        {"by": ""},
        {"by": "ada\x00"},
        {"scope": "component"},
        {"scope": "all", "name": "scoring"},
        {"scope": "planet", "name": "earth"},
        {"scope": "flag", "name": "x\ry"},
        {"signed": "x" * 20_000},
    ],
    ids=lambda changes: ascii(changes)[:40],
)
async def test_an_order_that_is_not_understood_does_nothing(plant: Plant, changes: dict[str, Any]):
    with pytest.raises(InputError):
        await killed(plant.parts(), **changes)
    assert plant.did == []


async def test_a_reason_in_any_language_is_kept_as_it_is(plant: Plant):
    report = await killed(plant.parts(), reason="  Fehlerquote über 5 % / 停止 🛑 ")
    assert report.latch.reason == "Fehlerquote über 5 % / 停止 🛑"


FROZEN = """
import asyncio, sys, threading
from pathlib import Path
from evoguard.adapters.latch_files import prepare, write_latch
from evoguard.kill import Acknowledgement, KillParts, kill

folder = Path(sys.argv[1])
prepare(folder)
frozen = threading.Event()

async def in_a_thread(latch):
    await asyncio.to_thread(frozen.wait)

async def at_once(latch):
    frozen.wait()

parts = KillParts(lambda latch: write_latch(folder, latch), in_a_thread, at_once, in_a_thread,
                  flags_s=0.1, acknowledge_s=0.1, revert_s=0.1)
report = asyncio.run(kill(parts, scope="all", name="", reason="why", by="ada", now=1))
print(report.latched, [step.status for step in report.steps])
"""


def test_frozen_threads_do_not_keep_the_process_from_exiting(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", FROZEN, str(tmp_path / "kill")], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "True ['ok', 'failed', 'failed', 'failed']\n"
    assert (done.returncode, done.stderr) == (0, "")
