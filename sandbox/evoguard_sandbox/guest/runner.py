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
import random
import shutil
import sys
import time
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

TREE = "/room/tree"
GUEST = "/opt/guest"
sys.path.insert(0, GUEST)
if TYPE_CHECKING:
    from evoguard_sandbox.guest.plugged import Plugged
else:
    from plugged import Plugged

    del sys.modules["plugged"]  # the name is a project's to use
sys.path.remove(GUEST)
REPORT_FD = 3
WIRE_FDS = (4, 5)
WHY_CHARS = 300
OWN_PATCHES = "_pytest.legacypath."
"""Where the functions are that pytest itself puts into its own classes, after the snapshot was taken."""
ID_CHARS = 1000
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


def machinery(packages: tuple[str, ...] = ("_pytest", "pytest", "pluggy", "unittest")) -> dict[str, Any]:
    """Return what the test runner does, by name: its functions, and what its classes compute, with the code behind it.

    A class is there by its name too, so that what is added to it can be told from a class that was loaded late.
    """
    found: dict[str, Any] = {}
    function, kind = types.FunctionType, type
    for name, module in list(sys.modules.items()):
        if name.split(".")[0] not in packages:
            continue
        for key, value in list(vars(module).items()):
            if isinstance(value, function):
                found[f"{name}.{key}"] = (value, value.__code__)
            elif isinstance(value, kind) and value.__module__ == name:
                found[f"{name}.{key}"] = (value, None)
                for attribute, inner in list(vars(value).items()):
                    plain = inner.fget if isinstance(inner, property) else getattr(inner, "__func__", inner)
                    if isinstance(plain, function):
                        found[f"{name}.{key}.{attribute}"] = (plain, plain.__code__)
                    elif hasattr(kind(inner), "__get__"):
                        found[f"{name}.{key}.{attribute}"] = (inner, None)
    return found


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


def keep_captured(config: Any) -> None:  # noqa: ANN401 (pytest's own object)
    """Leave 1 and 2 where pytest captures them between the phases of a test; moving them is a third of a small test."""
    from _pytest.capture import FDCapture

    class Kept(FDCapture):
        def suspend(self) -> None:
            if self._state == "started":
                self.syscapture.suspend()
                self._state = "suspended"

        def resume(self) -> None:
            if self._state == "suspended":
                self.syscapture.resume()
                self._state = "started"

    manager = config.pluginmanager.getplugin("capturemanager")
    both = manager and manager._global_capturing
    for one in (both.out, both.err) if both else ():
        if type(one) is FDCapture:
            os.dup2(one.tmpfile.fileno(), one.targetfd)
            one.__class__ = Kept


class Reporter:
    """Tell the host each test's outcome as soon as it is known."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], order: dict[str, Any], before: dict[str, Any]) -> None:
        self.tell = tell
        self.most: int = order["tests"]
        self.seed: int | None = order["seed"]
        self.without: set[str] = {*order["without"]}
        self.before = before
        self.plugged = Plugged(order["plugins"], machinery)
        self.open: dict[str, dict[str, Any]] = {}
        self.link: Any = None
        """The way to the code's process, in a split run."""
        self.unsplit = 0

    def compare(self) -> None:
        """Tell when the test runner itself is no longer what it was before the first candidate import."""
        now, own, theirs = machinery(), [v for n, v in self.before.items() if n.startswith(OWN_PATCHES)], []
        added = [name for name in now if name not in self.before and self._had(name)]
        for name in [*self.before, *added]:
            was, seen = self.before.get(name), now.get(name)
            same = was is not None and seen is not None and seen[0] is was[0] and seen[1] is was[1]
            if same or any(seen is not None and seen[0] is o[0] and seen[1] is o[1] for o in own):
                continue
            if not (owner := self.plugged.owner(name, seen)):
                self.tell({"k": "patched", "what": name})
                return
            theirs.append(f"{name}={owner}")
        if theirs and (name := self.plugged.changed(self.before)):
            self.tell({"k": "patched", "what": name})
        elif theirs:
            self.tell({"k": "plugged", "what": " ".join(sorted(theirs))})

    def _had(self, name: str) -> bool:
        """Tell whether a name is of a class that was there before; other people's tests do add to unittest's."""
        owner = self.before.get(name.rpartition(".")[0])
        return owner is not None and owner[1] is None and not name.startswith("unittest.")

    def pytest_plugin_registered(self, plugin: Any) -> None:  # noqa: ANN401
        """Remember a plugin as it is before any file of the tree was read."""
        self.plugged.take(plugin)

    def pytest_configure(self, config: Any) -> None:  # noqa: ANN401
        """Spare the guest's kernel what makes no difference."""
        keep_captured(config)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out what the order names; shuffle files, and in each its functions and classes, whole."""
        items[:] = [item for item in items if item.nodeid not in self.without]
        if self.seed is None:
            return
        draw = random.Random(self.seed)  # noqa: S311 (the host's own draw; nothing secret hangs on it)
        groups: dict[tuple[str, str], list[Any]] = {}
        for item in items:
            file, _, rest = item.nodeid.partition("::")
            groups.setdefault((file, rest.partition("::")[0].partition("[")[0]), []).append(item)
        files = sorted({file for file, _ in groups})
        draw.shuffle(files)
        order = list(groups)
        draw.shuffle(order)
        order.sort(key=lambda key: files.index(key[0]))
        items[:] = [item for key in order for item in groups[key]]

    def pytest_collection_finish(self, session: Any) -> None:  # noqa: ANN401 (pytest's own object)
        """Tell how many tests were found."""
        self.compare()
        self.tell({"k": "found", "count": len(session.items)})
        if len(session.items) > self.most:
            session.shouldstop = "too many tests"
            session.items.clear()

    def pytest_collectreport(self, report: Any) -> None:  # noqa: ANN401
        """Tell which file could not be read."""
        if report.failed:
            self.tell({"k": "uncollected", "id": report.nodeid[:ID_CHARS], "why": _why(report)})

    def pytest_internalerror(self, excrepr: Any) -> None:  # noqa: ANN401
        """Tell what made pytest itself stop; a SystemExit at import is one such thing."""
        crash = getattr(excrepr, "reprcrash", None)
        lines = str(excrepr).strip().splitlines() or [""]
        self.tell({"k": "broke", "why": str(crash.message if crash else lines[-1])[:WHY_CHARS]})

    def pytest_runtest_logstart(self) -> None:
        """Remember how often something could not be done apart from the code so far."""
        if self.link is not None:
            self.unsplit = self.link.unsplit
            self.link.begin()

    def pytest_runtest_logreport(self, report: Any) -> None:  # noqa: ANN401
        """Add one phase of a test to what is known of it."""
        test = self.open.setdefault(report.nodeid, {"o": "passed", "ms": 0.0, "why": ""})
        test["ms"] += report.duration * 1000
        told = hasattr(report, "wasxfail")
        if report.outcome == "failed":
            test["o"] = "failed" if report.when == "call" and test["o"] == "passed" else "error"
            test["why"] = test["why"] or _why(report)
        elif report.outcome == "skipped" and test["o"] == "passed":
            test["o"] = "xfailed" if told else "skipped"
            test["why"] = _why(report)
        elif told and test["o"] == "passed" and report.when == "call":
            test["o"] = "xpassed"

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell the outcome of one test."""
        test = self.open.pop(nodeid, None)
        if test is not None:
            if self.link is not None and self.link.unsplit != self.unsplit and test["o"] == "passed":
                test["o"], test["why"] = "failed", "a part of it could not run apart from the code"
            short = nodeid[:ID_CHARS]
            self.tell({"k": "test", "id": short, "o": test["o"], "ms": int(test["ms"]), "why": test["why"]})


def _why(report: Any) -> str:  # noqa: ANN401
    """Return pytest's one line about a failure or a skip."""
    text = report.longrepr
    if isinstance(text, tuple):
        return str(text[-1])[:WHY_CHARS]
    crash = getattr(text, "reprcrash", None)
    if crash is not None:
        return str(crash.message)[:WHY_CHARS]
    lines = [line for line in str(text or "").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("E  ")]
    return (told or lines or [""])[-1][:WHY_CHARS]


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
        link = near.connect(*WIRE_FDS, order["split"], most=order["questions"])
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


main()
