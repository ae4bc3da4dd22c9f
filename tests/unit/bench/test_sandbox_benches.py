"""The benches of the sandbox measure what they say: figures from plain numbers, and work that is checked."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from evoguard.bench import sandbox, suite
from evoguard.bench.rivals import NATIVE, RUNC, RUNSC, Rivals
from evoguard_sandbox import SandboxError, SuiteReport
from evoguard_sandbox.types import Behaviour

REPORT = SuiteReport(
    True, "finished", (), (), (), ("a",), {}, Behaviour("recorded"), "runsc", "Linux", "host", 1, 1, "", "pass",
    "held-out",
)  # fmt: skip


def times(**more: float) -> sandbox.Times:
    found = sandbox.Times()
    names = ("test, result", "test, gone", "python, result", "python, gone", "cold", "kill", "reap")
    for name in (*names, "start for a command", "start for tests"):
        found.add(name, 10.0)
    for name, value in more.items():
        found.add(name.replace("__", ", ").replace("_", "+"), value)
    return found


def test_docker_is_the_baseline_of_the_same_call_and_its_absence_is_told():
    memory = {"idle": 20.0, "gvisor": 15.0, "warmed": 80.0}
    there = sandbox.figures(times(test__Docker_runsc=200.0), memory, Rivals({}, {RUNC: "no engine"}), "1")
    ratio = next(one for one in there if one.name == "times faster than Docker+runsc")
    assert (ratio.value, ratio.ok) == (20.0, True)
    assert next(one for one in there if one.name == f"one test, {RUNC}: not measured").note == "no engine"
    none = sandbox.figures(times(), memory, Rivals({}, {RUNSC: "no engine"}), "1")
    assert not [one for one in none if one.name.startswith("times faster")]


def test_each_figure_of_the_room_names_the_binary():
    found = sandbox.figures(times(), {"idle": 1.0, "gvisor": 1.0, "warmed": 1.0}, Rivals({}, {}), "release-1")
    assert all("runsc release-1" in one.note for one in found if one.bar is not None and one.unit == "ms")


def test_a_rival_that_fails_has_no_time():
    ways = Rivals({NATIVE: [sys.executable]}, {}, env={})
    assert ways.run_ms("bubblewrap", "1") is None
    assert (ways.run_ms(NATIVE, "1") or 0) > 0
    with pytest.raises(SandboxError):
        ways.run_ms(NATIVE, "raise SystemExit(3)")


def test_processes_are_found_by_name_with_their_children_and_take_memory():
    name = f"eg-bench-{os.getpid()}"
    words = [sys.executable, "-c", "import subprocess, sys; subprocess.run(['sleep', '60'])", name]
    with subprocess.Popen(words) as child:
        try:
            while len(found := sandbox.processes(name)) < 2:
                assert child.poll() is None
            assert child.pid in found
            assert sandbox.alive(found) == found
            assert sum(map(sandbox.pss_mib, found)) > 0
        finally:
            for pid in sandbox.processes(name):
                os.kill(pid, 9)
    assert sandbox.alive([child.pid]) == []


SHARES = """
import ctypes, signal, sys
libc = ctypes.CDLL(None)
stack = ctypes.create_string_buffer(1 << 16)
top = ctypes.c_void_p((ctypes.addressof(stack) + len(stack)) & ~15)
print(libc.clone(libc.pause, top, 0x100 | signal.SIGCHLD, None), flush=True)  # CLONE_VM
signal.pause()
"""


def test_the_memory_that_two_processes_share_counts_once():
    if sandbox.SYS_KCMP < 0:
        pytest.skip("the number of kcmp is not known for this processor")
    with subprocess.Popen([sys.executable, "-c", SHARES], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        twin = int(child.stdout.readline())
        try:
            assert sandbox.one_memory(child.pid, twin)
            assert not sandbox.one_memory(child.pid, os.getpid())
            once, both = sandbox.memory_mib([child.pid, twin]), sandbox.pss_mib(child.pid) + sandbox.pss_mib(twin)
            assert 0 < once < both * 0.75
        finally:
            os.kill(twin, 9)
            child.kill()


def test_the_package_is_the_same_each_time_and_right(tmp_path):
    tree = suite.package(2, 3, 50)
    assert tree == suite.package(2, 3, 50)
    assert len([path for path in tree if path.startswith("tests/")]) == 2
    own: dict[str, object] = {}
    exec(tree["src/stroll/way_1.py"][1], own)  # noqa: S102  (made here)
    assert own["walk"](2, 52) == suite.walk(2, 52, 10)  # type: ignore[operator]
    assert not set(suite.held_out()) & set(tree)


def test_a_candidate_of_the_bench_differs_and_is_right():
    tree = suite.package(1, 1, 5)
    assert suite.changed(tree, 1) != suite.changed(tree, 2)
    assert suite.changed(tree, 1)["tests/test_way_0.py"] == tree["tests/test_way_0.py"]


@pytest.mark.parametrize("change", [{"passed": False}, {"assurance": "visible-only"}, {"assurance": "split"}])
def test_a_verdict_that_is_no_full_pass_is_not_timed(change):
    suite.passed(REPORT)
    with pytest.raises(SandboxError):
        suite.passed(replace(REPORT, **change))


def test_the_bar_follows_from_the_plain_suite_of_the_same_call():
    found = {one.name: one for one in suite.figures(30, ([9.0], [3.0], [1.0]), [], 1.5, "1")}
    assert (found["full verdict, warm"].bar, found["full verdict, warm"].ok) == (3.5, True)
    assert not found["full verdict, cold: base not known, none ready"].ok
    assert found["processor time to native, start taken off"].bar == 1.9
    short = {one.name: one for one in suite.figures(4, ([9.0], [3.0], [0.5]), [], 9.0, "1")}
    assert short["processor time to native"].bar is None
