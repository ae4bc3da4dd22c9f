"""What the test process tells of each test, and how it sees that the test runner is still the one that was loaded."""

from __future__ import annotations

import copy
import hashlib
import importlib
import os
import random
import sys
import types
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest.plugged import Plugged
else:
    from plugged import Plugged

WHY_CHARS, ID_CHARS = 300, 1000
OWN_PATCHES = "_pytest.legacypath."
"""Where the functions are that pytest itself puts into its own classes, after the snapshot was taken."""
SWITCHED_OFF = {"cacheprovider": "--lf", "stepwise": "--sw", "junitxml": "--junitxml", "faulthandler": ""}
"""The parts of pytest that do not run here, each with one of its options, if it has any."""
HEARS = frozenset(("capsys", "capsysbinary", "capfd", "capfdbinary", "capteesys", "caplog"))
"""Fixtures of which nothing is to be had apart from the code: its silence there says nothing."""
FIXTURES = "fixtures"
"""Whose turn it is while a test is set up and torn down: whichever comes first sets up what others share."""
COVERAGE_FLAGS = ("--cov-reset", "--no-cov-on-fail", "--no-cov", "--cov-append", "--cov-branch")
COVERAGE_VALUES = ("--cov-report", "--cov-config", "--cov-fail-under", "--cov-context", "--cov-precision")


def short(test_id: str) -> str:
    """Return a test's id, bounded and still another one for another test: a digest of the whole ends a cut one."""
    if len(test_id) <= ID_CHARS:
        return test_id
    return f"{test_id[: ID_CHARS - 20]}… #{hashlib.sha256(test_id.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


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


def allow_options(parser: Any) -> None:  # noqa: ANN401 (pytest's own object)
    """Make known what the parts of pytest that are switched off, and pytest-cov, let a project ask for.

    Nothing is done with it: which tests run, and in which order, and what they say is the same without. What a plugin
    that was loaded has registered itself is left to it.
    """
    taken = parser._opt2dest
    for part, option in SWITCHED_OFF.items():
        if option not in taken:
            importlib.import_module(f"_pytest.{part}").pytest_addoption(parser)
    if "--cov" not in taken:
        group = parser.getgroup("cov")
        group.addoption("--cov", action="append", nargs="?", const=True, dest="cov_source", default=[])
        for flag in COVERAGE_FLAGS:
            group.addoption(flag, action="store_true")
        for option in COVERAGE_VALUES:
            group.addoption(option, action="append", default=[])


class Reporter:
    """Tell the host each test's outcome as soon as it is known."""

    def __init__(self, tell: Callable[[dict[str, Any]], None], order: dict[str, Any], before: dict[str, Any]) -> None:
        self.tell = tell
        self.most: int = order["tests"]
        self.seed: int | None = order["seed"]
        self.draws: int = order["draws"]
        self.without: set[str] = {*order["without"]}
        self.only: set[str] = {*order["only"]}
        self.before = before
        self.plugged = Plugged(order["plugins"], machinery)
        self.open: dict[str, dict[str, Any]] = {}
        self.link: Any = None
        """The way to the code's process, in a split run."""
        self.unsplit = self.calls = self.decided = 0
        self.hears = False
        self.next = ""

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
        """Tell whether a name is of a class that was there before; people do add to unittest's, but hide nothing."""
        attribute = name.rpartition(".")[2]
        owner = self.before.get(name.rpartition(".")[0])
        hides = owner is not None and any(hasattr(base, attribute) for base in getattr(owner[0], "__mro__", ())[1:])
        return owner is not None and owner[1] is None and (hides or not name.startswith("unittest."))

    def pytest_load_initial_conftests(self, early_config: Any, parser: Any, args: list[str]) -> None:  # noqa: ANN401
        """Let the options and settings of what does not run here be given, before any file of the tree is read."""
        allow_options(parser)
        given = parser.parse_known_args(args, namespace=copy.copy(early_config.option))
        given.confcutdir = early_config.known_args_namespace.confcutdir
        early_config.known_args_namespace = given

    def pytest_plugin_registered(self, plugin: Any) -> None:  # noqa: ANN401
        """Remember a plugin as it is before any file of the tree was read."""
        self.plugged.take(plugin)

    def pytest_configure(self, config: Any) -> None:  # noqa: ANN401
        """Spare the guest's kernel what makes no difference."""
        keep_captured(config)

    def pytest_ignore_collect(self, collection_path: Any) -> bool | None:  # noqa: ANN401 (a pathlib.Path)
        """Leave out the files that are not asked for, where pytest itself cannot be told so."""
        return True if self.only and str(collection_path) not in self.only and collection_path.is_file() else None

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave out what the order names; shuffle files, and in each its functions and classes, whole."""
        items[:] = [item for item in items if short(item.nodeid) not in self.without]
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
        # What was compared while a file was read may be what any of its tests looks at.
        self.decided = self.link.decided if self.link is not None else 0
        first = short(session.items[0].nodeid) if session.items else ""
        self.tell({"k": "found", "count": len(session.items), "next": first})
        if len(session.items) > self.most:
            session.shouldstop = "too many tests"
            session.items.clear()

    def pytest_collectreport(self, report: Any) -> None:  # noqa: ANN401
        """Tell which file could not be read."""
        if report.failed:
            self.tell({"k": "uncollected", "id": short(report.nodeid), "why": _why(report)})

    def pytest_internalerror(self, excrepr: Any) -> None:  # noqa: ANN401
        """Tell what made pytest itself stop; a SystemExit at import is one such thing."""
        crash = getattr(excrepr, "reprcrash", None)
        lines = str(excrepr).strip().splitlines() or [""]
        self.tell({"k": "broke", "why": str(crash.message if crash else lines[-1])[:WHY_CHARS]})

    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> None:  # noqa: ANN401 (pytest's own objects)
        """Remember which test comes after this one: the host names it if it does not end."""
        self.next = short(nextitem.nodeid) if nextitem is not None else ""
        self.hears = self.link is not None and not HEARS.isdisjoint(_wanted(item))

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Have what the test draws follow the host's seed; remember how often something could not be done apart.

        Two runs of one seed draw the same, so that what differs between them is the code's doing and no luck.
        """
        random.seed(f"{self.draws} {nodeid}")
        if (hypothesis := sys.modules.get("hypothesis.core")) is not None:
            hypothesis.global_force_seed = self.draws  # type: ignore[attr-defined]  # as its own --hypothesis-seed does
        if self.link is not None:
            self.unsplit, self.calls = self.link.unsplit, self.link.calls
            self.link.begin()
            self.link.kinds.turn(FIXTURES)

    def pytest_runtest_logreport(self, report: Any) -> None:  # noqa: ANN401
        """Add one phase of a test to what is known of it; what it asks of the code in its own phase belongs to it."""
        if self.link is not None and not hasattr(report, "context"):  # a subtest ends, and its test goes on
            self.link.kinds.turn(report.nodeid if report.when == "setup" else FIXTURES)
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

    def _beside(self) -> str:
        """Return why a test that passed did not run apart from the code, or nothing if it did."""
        if self.link.unsplit != self.unsplit:
            return "a part of it could not run apart from the code"
        if self.decided:
            return "the code's own comparison decided something while the tests were collected"
        if self.hears and self.link.calls != self.calls:
            return "it listens to what is printed or logged, and the code does so elsewhere"
        return ""

    def tell_kinds(self) -> None:
        """Tell what kinds of answers the code gave since the last time, in reports of a bounded size."""
        fresh = list(self.link.kinds.take().items()) if self.link is not None else []
        for start in range(0, len(fresh), 100):
            self.tell({"k": "kinds", "seen": dict(fresh[start : start + 100])})

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell the outcome of one test."""
        test = self.open.pop(nodeid, None)
        if test is not None:
            if self.link is not None:
                self.link.end()
            if self.link is not None and test["o"] in ("passed", "xpassed") and (why := self._beside()):
                test["o"], test["why"] = "failed", why
            self.tell_kinds()
            told = {"k": "test", "id": short(nodeid), "o": test["o"], "ms": int(test["ms"]), "why": test["why"]}
            self.tell({**told, "next": self.next})


def _wanted(item: Any) -> set[str]:  # noqa: ANN401 (pytest's own object)
    """Return the fixtures that a test asks for by itself, and those that they ask for; none that come unasked."""
    info = getattr(item, "_fixtureinfo", None)
    found: set[str] = set()
    waiting: list[str] = [*info.argnames] if info is not None else []
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            defined = getattr(info, "name2fixturedefs", {}).get(name, ())
            waiting += [other for each in defined for other in each.argnames]
    return found


def _why(report: Any) -> str:  # noqa: ANN401
    """Return pytest's one line about a failure or a skip."""
    text = report.longrepr
    if isinstance(text, tuple):
        return str(text[-1])[:WHY_CHARS]
    crash = getattr(text, "reprcrash", None)
    if crash is not None:
        text = str(crash.message)
        bare = text in ("AssertionError", "")
        return (f"{text} at {os.path.basename(str(crash.path))}:{crash.lineno}" if bare else text)[:WHY_CHARS]
    lines = [line for line in str(text or "").splitlines() if line.strip()]
    told = [line for line in lines if line.startswith("E  ")]
    return (told or lines or [""])[-1][:WHY_CHARS]
