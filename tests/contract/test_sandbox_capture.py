"""What tests print is captured in the sandbox as anywhere, though its runner leaves the descriptors where they are."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from evoguard_sandbox import Limits, Room, Suite, run

pytestmark = pytest.mark.needs_gvisor
CONFTEST = """
import os, pytest

@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.when == "call":
        item.said = report.capstdout, report.capstderr
    return report

@pytest.hookimpl
def pytest_runtest_logreport(report):
    print("between the phases")
"""
TESTS = """
import os, subprocess, sys
import pytest

@pytest.fixture(autouse=True)
def nothing_of_before(request):
    print("of the set-up")
    yield
    out, err = request.node.said
    want = request.node.get_closest_marker("want")
    if want is not None:
        # The report of the call has what all phases printed so far.
        assert (out, err) == want.args

@pytest.mark.want("of the set-up\\nprinted\\nwritten\\nby a child\\n", "complained\\n")
def test_everything_that_goes_to_1_and_2_is_in_its_order():
    print("printed")
    os.write(1, b"written\\n")
    subprocess.run(["/bin/sh", "-c", "echo by a child"], check=True)
    print("complained", file=sys.stderr)

@pytest.mark.want("of the set-up\\n", "")
def test_a_silent_one_has_nothing_of_its_neighbours():
    pass

def test_descriptors(capfd):
    os.write(1, b"one")
    print("two", flush=True)
    with capfd.disabled():
        print("not here")
        os.write(1, b"nor here")
    assert capfd.readouterr() == ("onetwo\\n", "")

def test_objects(capsys):
    print("one")
    with capsys.disabled():
        print("not here")
    assert capsys.readouterr() == ("one\\n", "")

def test_bytes(capfdbinary):
    os.write(2, b"\\xff")
    assert capfdbinary.readouterr() == (b"", b"\\xff")

def test_output_is_a_file():
    assert sys.stdout.fileno() >= 0
    assert not sys.stdout.isatty()
    assert os.fstat(1).st_ino == os.fstat(sys.stdout.fileno()).st_ino

@pytest.mark.want("of the set-up\\n", "")
def test_last():
    pass
"""
FILES = {"conftest.py": CONFTEST, "test_prints.py": TESTS, "calc.py": "X = 1\n"}
WANT = {name: "passed" for name in (
    "test_everything_that_goes_to_1_and_2_is_in_its_order", "test_a_silent_one_has_nothing_of_its_neighbours",
    "test_descriptors", "test_objects", "test_bytes", "test_output_is_a_file", "test_last",
)}  # fmt: skip


async def test_capture_is_what_it_is_without_a_sandbox(room: Room, tmp_path: Path) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    plain = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-c", "/dev/null", "."],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert f"{len(WANT)} passed" in plain.stdout, plain.stdout
    files = {name: (0o100644, text.encode()) for name, text in FILES.items()}
    seen = await run(Suite(files, files), limits=Limits(wall_s=60), room=room)
    assert {test.id.rpartition("::")[2]: test.outcome for test in seen.tests} == WANT, [t.why for t in seen.tests]
    assert seen.passed, seen.findings
