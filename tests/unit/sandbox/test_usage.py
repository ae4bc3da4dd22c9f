"""What a sandbox took, as the host's kernel or an engine tells it; what is not told is 0 and never a guess."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoguard_sandbox.rooms.bites import reached_findings
from evoguard_sandbox.rooms.cgroups import Cgroup
from evoguard_sandbox.rooms.engine import usage_of
from evoguard_sandbox.types import Limits, Usage

VERSION_1 = {"memory.max_usage_in_bytes": "1000\n", "cpuacct.usage": "2500000000\n", "pids.peak": "7\n"}
VERSION_2 = {
    "memory.peak": "1000\n",
    "cpu.stat": "usage_usec 2500000\nuser_usec 2000000\nsystem_usec 500000\n",
    "pids.peak": "7\n",
}


@pytest.mark.parametrize("files", [VERSION_1, VERSION_2], ids=["version 1", "version 2"])
def test_both_versions_of_cgroups_are_read(tmp_path: Path, files: dict[str, str]):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert Cgroup("/x", tmp_path, tmp_path, tmp_path).usage() == Usage(1000, 2500, 7)


@pytest.mark.parametrize("text", ["", "max\n", "x"])
def test_what_is_no_number_is_not_counted(tmp_path: Path, text: str):
    for name in VERSION_1:
        (tmp_path / name).write_text(text)
    assert Cgroup("/x", tmp_path, tmp_path, tmp_path).usage() == Usage()


def test_without_cgroups_nothing_is_counted(tmp_path: Path):
    assert Cgroup("").usage() == Usage()
    assert Cgroup("/x", tmp_path / "gone", tmp_path / "gone", tmp_path / "gone").usage() == Usage()


def test_an_engines_statistics_are_read_with_what_they_leave_out():
    told = {
        "memory_stats": {"usage": 5, "max_usage": 9},
        "cpu_stats": {"cpu_usage": {"total_usage": 3_000_000_000}},
        "pids_stats": {"current": 4},
    }
    assert usage_of(told) == Usage(9, 3000, 4)
    assert (
        usage_of({}) == usage_of({"memory_stats": None, "cpu_stats": {"cpu_usage": None}, "pids_stats": {}}) == Usage()
    )


def test_a_limit_that_the_base_reached_too_is_no_finding_of_the_candidate():
    found = reached_findings(("tmp", "cpu"), "the tests", known=("tmp",), limits=Limits(cpu_s=7))
    assert [(f.code, f.term) for f in found] == [("sandbox.limit_cpu", "cpu")]
    assert "7 s" in found[0].msg
    assert {f.code for f in reached_findings(("report", "file_size", "processes"), "x")} == {
        "sandbox.limit_report",
        "sandbox.limit_file_size",
        "sandbox.limit_processes",
    }
