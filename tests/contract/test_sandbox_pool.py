"""Prepared sandboxes on real gVisor: used once, thrown away when stale, never a way round the proof, nothing left."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from evoguard_sandbox import Job, Limits, Pool, Room, Suite, execute, run
from evoguard_sandbox.job import make_of
from evoguard_sandbox.rooms.backend import Make
from evoguard_sandbox.rooms.box import Order
from evoguard_sandbox.trees import read_tree, wire

pytestmark = pytest.mark.needs_gvisor
SHORT = Limits(wall_s=20)
TREE = {
    "calc.py": (0o100644, b"def one():\n    return 1\n"),
    "test_calc.py": (0o100644, b"from calc import one\ndef test_one():\n    assert one() == 1\n"),
}
RED = {**TREE, "calc.py": (0o100644, b"def one():\n    return 2\n")}


def left_behind(room: Room) -> list[str]:
    folders = [room.home / "b", room.sockets(), *Path("/sys/fs/cgroup").glob("*/evoguard")]
    return [p.name for f in folders for p in f.iterdir() if p.name.startswith(f"eg-{room.installation}-")]


async def ready(pool: Pool, makes: tuple[Make, ...], count: int = 1) -> None:
    pool.want({makes: count})
    async with asyncio.timeout(60):
        while len(pool._ready.get(makes, ())) < count:
            await asyncio.sleep(0.05)


async def test_a_verdict_is_the_same_from_prepared_sandboxes_and_what_stood_ready_is_gone_after_close(room):
    pool = Pool(room)
    cold, warm = [await run(Suite(TREE, TREE), limits=SHORT, room=room, pool=p) for p in (None, pool)]
    assert (cold.verdict, cold.findings, cold.tests[0].id) == (warm.verdict, warm.findings, warm.tests[0].id)
    red = await run(Suite(TREE, RED), limits=SHORT, room=room, pool=pool)
    assert (red.verdict, {f.code for f in red.findings}) == ("fail", {"tests.failed"})
    await pool.close()
    assert pool.size == 0
    assert left_behind(room) == []


async def test_a_prepared_sandbox_serves_one_order_and_no_other(room):
    make, pool = (Make("suite", SHORT),), Pool(room)
    await ready(pool, make)
    (box,) = await pool.take(*make)
    assert pool.cost.hits == 1
    rows, contents = wire(read_tree(TREE, SHORT), frozenset())
    first = await box.obey(Order("{}", rows, contents))
    again = await box.obey(Order("{}", rows, contents))
    assert first is again  # nothing was run a second time; the same facts are told
    (other,) = await pool.take(*make)
    assert (other is not box, pool.cost.misses) == (True, 1)
    await other.discard()
    await pool.close()
    assert left_behind(room) == []


async def test_one_that_died_while_it_waited_is_a_room_that_failed_and_is_tried_again(room):
    make, pool = (Make("suite", SHORT),), Pool(room)
    await ready(pool, make, 1)
    name = pool._ready[make][0][1][0].name
    subprocess.run(room.command("kill", name, "KILL"), check=True, capture_output=True)
    await asyncio.sleep(0.5)
    seen = await run(Suite(TREE, TREE), limits=SHORT, room=room, pool=pool)
    assert (seen.verdict, seen.findings) == ("pass", ())
    await pool.close()
    assert left_behind(room) == []


async def test_what_stands_too_long_or_is_too_many_is_not_kept(room):
    pool, small = Pool(room, keep_s=0.2), (Make("job", SHORT),)
    await ready(pool, small)
    async with asyncio.timeout(20):
        while pool.size:
            await asyncio.sleep(0.1)
    assert pool.cost.thrown_away == 1
    bounded = Pool(room, most=1)
    bounded.want({small: 5})
    assert bounded.size == 1
    await pool.close()
    await bounded.close()
    assert left_behind(room) == []


async def test_what_was_taken_is_replaced_without_being_asked_and_the_choice_is_told(room):
    pool, make = Pool(room), (Make("job", SHORT),)
    assert pool.choice()["mode"] == "just in time"
    (box,) = await pool.take(*make)
    await box.discard()
    async with asyncio.timeout(60):
        while not pool.choice()["ready"]:
            await asyncio.sleep(0.05)
    (again,) = await pool.take(*make)
    await again.discard()
    told = pool.choice()
    assert (told["mode"], told["hits"], told["misses"]) == ("kept warm", 1, 1)
    assert float(told["memory_mib_hours"]) >= 0
    assert float(told["ready_s"]) >= 0  # a busy machine takes it in the millisecond in which it is ready
    await pool.close()
    assert left_behind(room) == []


async def test_an_order_takes_what_is_on_its_way_and_starts_its_own_only_beyond_that(room):
    pool, make = Pool(room), Make("job", SHORT)
    pool.want({(make,): 1})
    (one,), (two,) = await asyncio.gather(pool.take(make), pool.take(make))
    assert (one.ready, two.ready, one is two) == (True, True, False)
    assert (pool.cost.started, pool.cost.hits, pool.cost.misses) == (2, 0, 2)
    await asyncio.gather(one.discard(), two.discard(), pool.close())
    assert left_behind(room) == []


async def test_who_waits_no_longer_and_who_waits_at_the_end_leave_nothing(room):
    pool, make = Pool(room), Make("job", SHORT)
    pool.want({(make,): 2})
    gone, stays = asyncio.create_task(pool.take(make)), asyncio.create_task(pool.take(make))
    await asyncio.sleep(0.05)
    gone.cancel()
    assert isinstance((await asyncio.gather(gone, return_exceptions=True))[0], asyncio.CancelledError)
    await pool.close()
    (box,) = await stays  # what was on its way for it is gone: it starts its own
    assert box.ready
    await box.discard()
    assert left_behind(room) == []


async def test_nothing_is_kept_once_nobody_asks(room):
    """The clock is ours: it is moved past the time after which a pool is quiet."""
    at = [0.0]
    pool, make = Pool(room, keep_s=2.0, now_s=lambda: at[0]), (Make("job", SHORT),)
    (box,) = await pool.take(*make)
    await box.discard()
    async with asyncio.timeout(60):
        while not pool.choice()["ready"]:
            await asyncio.sleep(0.05)
    at[0] = 10.0
    async with asyncio.timeout(60):
        while pool.size:
            await asyncio.sleep(0.05)
    assert pool.choice()["mode"] == "just in time"
    await pool.close()
    assert left_behind(room) == []


async def test_a_pool_that_may_keep_nothing_keeps_nothing(room):
    pool = Pool(room, most=0)
    (box,) = await pool.take(Make("job", SHORT))
    await box.discard()
    await asyncio.sleep(1)
    assert pool.size == 0
    await pool.close()


async def test_a_job_from_the_pool_gets_its_own_files_and_gives_back_plain_ones_only(room):
    code = (
        "import os; os.makedirs('out/a'); open('out/a/x', 'w').write('hi'); os.symlink('/etc/passwd', 'out/link');"
        "os.mkfifo('out/pipe'); open('out/one', 'w').write('1'); os.link('out/one', 'out/two');"
        "open('secret', 'w').write('not asked for')"
    )
    pool = Pool(room)
    job = Job(("python", "-I", "-c", code), take=("out", "gone"))
    await ready(pool, (make_of(job, SHORT, pooled=True),))
    seen = await execute(job, limits=SHORT, room=room, pool=pool)
    await pool.close()
    assert (seen.outcome, seen.exit_status) == ("finished", 0)
    assert seen.artefacts == {"out/a/x": (0o100644, b"hi")}
    assert seen.omitted
    assert pool.cost.hits == 1


@pytest.mark.parametrize("name", ["../../../etc", "/etc", "out/../../x", "", "a\nb"])
async def test_what_is_asked_back_lies_in_the_tree(room, name):
    seen = await execute(Job(("true",), take=(name,)), limits=SHORT, room=room)
    assert (seen.outcome, seen.exit_status, [f.code for f in seen.findings]) == ("void", None, ["input.bad_tree"])


@pytest.mark.parametrize(
    ("code", "limits"),
    [
        ("open('out', 'wb').write(bytes(3 << 20))", Limits(wall_s=20, take_bytes=2 << 20)),
        (
            "import os; os.mkdir('out'); [open(f'out/{n}', 'w').close() for n in range(9)]",
            Limits(wall_s=20, take_files=4),
        ),
    ],
    ids=["too large", "too many"],
)
async def test_what_comes_back_is_bounded(room, code, limits):
    seen = await execute(Job(("python", "-I", "-c", code), take=("out",)), limits=limits, room=room)
    assert sum(len(data) for _, data in seen.artefacts.values()) <= limits.take_bytes
    assert len(seen.artefacts) <= limits.take_files
    assert "more than the bound allows" in seen.omitted


async def test_the_record_names_the_files_that_a_command_opened_when_asked(room):
    job = Job(("python", "-I", "-c", "open('/etc/hosts').read()"), record_files=True)
    seen = await execute(job, limits=SHORT, room=room)
    assert "/etc/hosts" in seen.behaviour.files
    assert not any("supervisor.py" in path for path in seen.behaviour.files)
    plain = await execute(Job(("python", "-I", "-c", "open('/etc/hosts').read()")), limits=SHORT, room=room)
    assert plain.behaviour.files == ()


@pytest.mark.parametrize(
    "code",
    [
        "import sys; print(sys.argv, sys.flags.isolated, sys.path)",
        "import os; print(sorted(os.environ.items()), os.getuid(), os.getcwd(), sorted(os.listdir('/proc/self/fd')))",
        "print(__name__, sorted(k for k in globals() if k != '__annotations__'))\nclass A: pass\nprint(A.__module__)",
        "import sys; sys.exit(7)",
        "import sys; sys.exit('words')",
        "import atexit; atexit.register(print, 'bye'); print(sys)",
        "def f():\n    raise ValueError('no')\nf()",
        "x = (",
        "import os; os._exit(3)",
        "import os; os.kill(os.getpid(), 9)",
        "print(repr(input()))",
    ],
)
async def test_a_python_that_waits_does_with_its_code_what_one_that_starts_does(room, code):
    job = Job(("python", "-I", "-c", code, "a", "b c"), {"data.txt": (0o100644, b"x")})
    pool = Pool(room)
    await ready(pool, (make_of(job, SHORT, pooled=True),))
    started, waited = [await execute(job, limits=SHORT, room=room, pool=p) for p in (None, pool)]
    assert pool.cost.hits == 1
    await pool.close()
    assert (waited.exit_status, waited.stdout) == (started.exit_status, started.stdout)
    assert waited.stderr.splitlines()[-1:] == started.stderr.splitlines()[-1:]
    assert b"interpreter.py" not in waited.stderr
    assert left_behind(room) == []
