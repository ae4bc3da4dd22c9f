"""The test process: pytest with trusted configuration, one frame for each test on fd 3.

Everything here shares an interpreter with the code under test. What it says is a claim; the host and the supervisor
check the claim against the inventory of the base and against how the process ended.
"""

from __future__ import annotations

import fcntl
import gc
import importlib
import importlib.machinery
import io
import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

TREE = "/room/tree"
GUEST = "/opt/guest"
sys.path.insert(0, GUEST)
if TYPE_CHECKING:
    from evoguard_sandbox.guest.reporter import WHY_CHARS, Reporter, machinery
else:
    from reporter import WHY_CHARS, Reporter, machinery

    for own_module in ("reporter", "plugged"):
        del sys.modules[own_module]  # the names are a project's to use
sys.path.remove(GUEST)
REPORT_FD = 3
WIRE_FDS = (4, 5)
OWN_FD, SELDOM_S = 200, 0.05
WARM = """
import unittest
import pytest

@pytest.fixture
def two():
    return 2

@pytest.mark.parametrize("n", [1, 2])
def test_warm(n, two, tmp_path, monkeypatch, capsys):
    assert n <= two == 2

def test_raises():
    with pytest.raises(ValueError, match="x"):
        raise ValueError("x")

@pytest.mark.xfail
def test_red():
    assert [1, 2] == [1, 3]

class TestWarm(unittest.TestCase):
    def test_equal(self):
        self.assertEqual(1, 1)
"""


def read_order() -> dict[str, Any]:
    """Read the order from stdin and put nothing in its place."""
    data = b""
    while chunk := os.read(0, 1 << 16):
        data += chunk
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 0)
    os.close(null)
    order: dict[str, Any] = json.loads(data)
    return order


def teller(token: str) -> Callable[[dict[str, Any]], None]:
    """Return the function that reports. It holds its own references: tests may replace what os and json offer."""
    dumps, write, getpid = json.dumps, os.write, os.getpid
    me, number = getpid(), 0

    def tell(value: dict[str, Any]) -> None:
        nonlocal number
        if getpid() != me:
            return  # a fork of this process is not this process
        data = dumps({**value, "n": number, "key": token}).encode()
        number += 1
        data = len(data).to_bytes(4, "big") + data
        while data:
            data = data[write(REPORT_FD, data) :]

    return tell


class SeldomFlushed(io.TextIOWrapper):
    """What pytest prints for people: written out now and then, not after every dot."""

    written = 0.0

    def flush(self) -> None:
        """Write out what is held, unless that was done just now."""
        if time.monotonic() - self.written > SELDOM_S:
            super().flush()
            self.written = time.monotonic()


def own_output() -> SeldomFlushed:
    """Put what this process itself prints on a descriptor of its own, so that 1 can stay with what tests print."""
    fd = fcntl.fcntl(1, fcntl.F_DUPFD_CLOEXEC, OWN_FD)
    out = SeldomFlushed(io.BufferedWriter(io.FileIO(fd, "w", closefd=False)), "utf-8", errors="backslashreplace")
    sys.stdout = out
    return out


class OwnFirst:
    """Finds in the tree what the project itself is, where the runner layer holds a copy for pytest's own use.

    Without it a project such as iniconfig would have the layer's copy tested in its place. Only names that the *base*
    ships are asked for here, so a candidate cannot put itself in pytest's way.
    """

    def __init__(self, names: list[str]) -> None:
        self.names = frozenset(names)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:  # noqa: ANN401, ARG002
        """Return where a top-level name of the project is, or None."""
        if path is not None or name not in self.names:
            return None
        return importlib.machinery.PathFinder.find_spec(name, [TREE + "/src", TREE])


def give_way(names: list[str]) -> None:
    """Forget the layer's copy of each name, after pytest has taken its own references to it."""
    for late in ("iniconfig", "packaging.requirements", "packaging.specifiers", "packaging.version", "pygments"):
        importlib.import_module(late)  # pytest and its parts have their references from here on
    for loaded in [m for m in sys.modules if m.split(".")[0] in names]:
        del sys.modules[loaded]
    sys.meta_path.insert(0, OwnFirst(names))


def warm() -> None:
    """Run one small suite, so that everything pytest loads late is loaded before the candidate is near."""
    import pytest

    kept = [os.dup(1), os.dup(2)]
    null = os.open("/dev/null", os.O_RDWR)
    os.dup2(null, 1)
    os.dup2(null, 2)
    folder, before = "/tmp/.warm", set(sys.modules)  # noqa: S108 (the sandbox's own, gone in a moment)
    os.mkdir(folder)
    with open(folder + "/test_warm.py", "w", encoding="utf-8") as file:
        file.write(WARM)
    pytest.main(["-q", "-p", "no:cacheprovider", "-c", "/dev/null", f"--rootdir={folder}", folder])
    for name in set(sys.modules) - before:
        if name.startswith(("test_warm", "conftest")):
            del sys.modules[name]
    shutil.rmtree(folder)
    shutil.rmtree("/tmp/pytest-of-unknown", ignore_errors=True)  # noqa: S108
    shutil.rmtree("/tmp/pytest-of-nobody", ignore_errors=True)  # noqa: S108
    for fd, old in zip((1, 2), kept, strict=True):
        os.dup2(old, fd)
        os.close(old)
    os.close(null)


def prepare(layers: list[str], *, warmly: bool) -> dict[str, Any]:
    """Load the test runner and everything it needs, warm it when there is time, and say so; return its `machinery`."""
    sys.path[:0] = layers
    import site

    site.setquit()
    site.sethelper()
    import difflib  # noqa: F401 (loaded before the candidate's path can shadow it)
    import pprint  # noqa: F401
    import tempfile
    import unittest.mock  # noqa: F401

    import pytest  # noqa: F401

    if warmly:
        warm()
    tempfile.tempdir = None
    sys.argv = ["pytest"]
    sys.path_importer_cache.clear()
    before = machinery()
    # What is here by now stays: pytest collects five times at its end, and would walk through all of it each time.
    gc.collect()
    gc.freeze()
    os.write(REPORT_FD, b"+")
    return before


def main() -> None:
    """Run the ordered tests; end with pytest's exit status and nothing of the candidate after it."""
    told = json.loads(sys.argv[1])
    before = prepare(told["layers"], warmly=told["warm"])
    order = read_order()
    import pytest

    if order["own"]:
        give_way(order["own"])
    tell, leave = teller(order["token"]), os._exit
    link = None
    if order["split"]:
        sys.path.insert(0, GUEST)  # before every layer: no package of a project may stand in for this
        near: Any = importlib.import_module("split_near")
        link = near.connect(*WIRE_FDS, order["split"], most=order["questions"], known=order["kinds"])
        sys.path.remove(GUEST)
    sys.path += [TREE, *([TREE + "/src"] if os.path.isdir(TREE + "/src") else [])]
    os.chdir(TREE)
    out = own_output()
    reporter = Reporter(tell, order, before)
    reporter.link = link
    status = int(pytest.main(order["args"], plugins=[reporter]))
    reporter.compare()
    if link is not None and link.tamper:
        tell({"k": "patched", "what": "split: " + link.tamper[:WHY_CHARS]})
    if link is not None:
        tell({"k": "calls", "count": link.calls})
    tell({"k": "end", "status": status})
    io.TextIOWrapper.flush(out)
    leave(status)


if __name__ == "__main__":  # a child that multiprocessing starts afresh reads this file, too
    main()
