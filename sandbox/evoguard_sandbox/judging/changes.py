"""What the candidate did to the tests and to their configuration. The base's copies are used; a person must know."""

from __future__ import annotations

import posixpath
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator

from iniconfig import IniConfig, ParseError

from evoguard_sandbox.judging import shadows
from evoguard_sandbox.shown import shown
from evoguard_sandbox.trees import Tree, compiled, folders, followed
from evoguard_sandbox.types import Finding

PYTEST_FILES = frozenset({"conftest.py", "pytest.ini", ".pytest.ini", "pytest.toml", ".pytest.toml", "tox.ini"})
START_FILES = frozenset({"sitecustomize.py", "usercustomize.py"})
SECTIONED = frozenset({"setup.cfg", "pyproject.toml", "tox.ini"})
INI = frozenset({"setup.cfg", "tox.ini", "pytest.ini", ".pytest.ini"})
CONFIG_ORDER = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini", "pyproject.toml", "tox.ini", "setup.cfg")
METADATA = (".dist-info", ".egg-info")
CONFIG = "tests.config_changed"
MOST_CONFIG_BYTES, MOST_DOTS = 256 * 1024, 4_000


def is_config(path: str) -> bool:
    """Tell whether `path` can change how pytest or the interpreter runs, wherever it lies."""
    name = path.rsplit("/", 1)[-1]
    in_metadata = any(f.endswith(METADATA) for f in folders(path))
    return name in PYTEST_FILES | START_FILES | SECTIONED or name.endswith(".pth") or in_metadata


def config_of(tree: Tree) -> str:
    """Return the file that configures pytest at the root of `tree`, in pytest's own order; empty when there is none."""
    for name in CONFIG_ORDER:
        entry = tree.get(name)
        if entry is not None and (name.endswith(("pytest.ini", "pytest.toml")) or pytest_section(name, entry.data)):
            return name
    return ""


def pytest_section(path: str, data: bytes | None) -> object:
    """Return the part of a shared file that is pytest's: None when there is none, all of it when it cannot be read."""
    if data is None:
        return None
    if len(data) > MOST_CONFIG_BYTES or data.count(b".") > MOST_DOTS:
        return data  # not read: nested keys cost a parser the square of their number
    name = path.rsplit("/", 1)[-1]
    try:
        text = data.decode()
        if name == "pyproject.toml":
            tool = tomllib.loads(text).get("tool", {})
            return {key: value for key, value in tool.items() if key.startswith("pytest")} or None
        if name not in INI:
            return data
        # pytest's own reader: the standard library's takes the square of a line's length.
        sections = IniConfig(name, data=text).sections
        return {
            section: dict(sections[section]) for section in ("pytest", "tool:pytest") if section in sections
        } or None
    except (ValueError, AttributeError, ParseError, RecursionError):
        return data


def python_paths(tree: Tree, config: str) -> frozenset[str]:
    """Return the folders that the base's configuration has pytest put first on the path, as paths of the tree."""
    section = pytest_section(config, tree[config].data) if config else None
    found: set[str] = set()
    waiting = [section]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            waiting += [value for key, value in part.items() if key != "pythonpath"]
            said = part.get("pythonpath", ())
            found |= {posixpath.normpath(str(name)) for name in (said.split() if isinstance(said, str) else said)}
    return frozenset("" if name == "." else name for name in found if not name.startswith(("..", "/")))


def findings(base: Tree, candidate: Tree, trusted: Callable[[str], bool]) -> tuple[Finding, ...]:
    """Return one finding for each test file edited or deleted, and each configuration file edited, deleted or added.

    A project that is the test runner itself is one more: its tests would run the runner's copy.
    """
    ships = tuple(
        Finding(
            "tests.is_the_runner", f"the project is {name} itself; what would be tested is the runner's copy", "", name
        )
        for name in runner_names(base)
    )
    return (*ships, *_walk(base, candidate, trusted))


def _walk(base: Tree, candidate: Tree, trusted: Callable[[str], bool]) -> Iterator[Finding]:
    for path in sorted(base.keys() | candidate.keys()):
        old, new = base.get(path), candidate.get(path)
        if not (trusted(path) or is_config(path)):
            continue
        if old == new:
            yield from _behind(path, base, candidate, trusted)
            continue
        verb = "adds" if old is None else "deletes" if new is None else "changes"
        if is_config(path):
            name = path.rsplit("/", 1)[-1]
            halves = [pytest_section(path, entry.data if entry else None) for entry in (old, new)]
            if name in SECTIONED and halves[0] == halves[1]:
                continue
            yield Finding(
                CONFIG,
                f"the candidate {verb} {shown(path)}, {_power(path)}; the base's copy was used",
                shown(path),
                verb,
            )
        elif old is not None:
            text = f"the candidate {verb} the existing test file {shown(path)}; the base's copy was used to judge it"
            yield Finding("tests.base_test_changed", text, shown(path), verb)


def _behind(path: str, base: Tree, candidate: Tree, trusted: Callable[[str], bool]) -> Iterator[Finding]:
    """Yield a finding where a test file is a link to code that the candidate changes: the base's copy stands there."""
    behind = followed(base, path)
    if behind == path or trusted(behind) or is_config(behind) or base[behind] == candidate.get(behind):
        return
    text = f"the test file {shown(path)} is a link to {shown(behind)}, which the candidate changes"
    yield Finding("tests.base_test_changed", f"{text}; the base's copy was used to judge it", shown(path), "changes")


def _power(path: str) -> str:
    name = path.rsplit("/", 1)[-1]
    if name == "conftest.py":
        return "which pytest runs before the tests and which can rewrite their outcomes"
    if name in START_FILES or name.endswith(".pth"):
        return "which Python runs at its start, before any test"
    if name in PYTEST_FILES | SECTIONED:
        return "which decides what pytest runs and how"
    return "package metadata through which pytest loads plugins"


MOST_SOURCES = 200


def in_test_folder(path: str, trusted: Callable[[str], bool]) -> bool:
    """Tell whether every file in the folder of `path` is a test's, whatever it is called."""
    metadata = next((f for f in folders(path) if f.endswith(METADATA)), path)
    folder = metadata.rpartition("/")[0]
    return bool(folder) and trusted(f"{folder}/_") and trusted(f"{folder}/_.py")


def readable(base: Tree, trusted: Callable[[str], bool]) -> frozenset[str]:
    """Return the base's configuration that its code may read, too: no test, no conftest, nothing beside a test."""
    return frozenset(
        path
        for path in base
        if is_config(path) and path.rsplit("/", 1)[-1] != "conftest.py" and not in_test_folder(path, trusted)
    )


def sources(base: Tree, candidate: Tree, trusted: Callable[[str], bool]) -> Tree:
    """Return the candidate's new files that only their name makes tests: its code may import them.

    They are laid out with its code and kept from being collected there. What they gain is what any new module has; as
    tests of the candidate they run by themselves all the same.
    """
    fresh = new_tests(base, candidate, trusted)
    found = {p: e for p, e in fresh.items() if not in_test_folder(p, trusted) and e.kind != "link"}
    return found if len(found) <= MOST_SOURCES else {}


def new_tests(base: Tree, candidate: Tree, trusted: Callable[[str], bool]) -> Tree:
    """Return the candidate's own test files that the base does not have; configuration is never among them."""
    kept_folders = {folder for path in base for folder in folders(path)}
    return {
        path: entry
        for path, entry in candidate.items()
        if trusted(path)
        and not is_config(path)
        and not compiled(path)
        and path not in base
        and path not in kept_folders
        and not any(folder in base for folder in folders(path))
    }


def runnable(paths: Tree) -> list[str]:
    """Return those of the new files that pytest is to be pointed at."""
    names = {path: path.rsplit("/", 1)[-1] for path in paths}
    return sorted(
        p for p, n in names.items() if n.endswith(".py") and (n.startswith("test_") or n.endswith("_test.py"))
    )


LENT = ("iniconfig", "packaging", "pygments")
"""What the runner layer holds for pytest alone; a project that *is* one of them is tested from its own tree."""
RUNNER = ("pytest", "_pytest", "pluggy")


def own_names(base: Tree, layer: Iterable[str] = ()) -> list[str]:
    """Return the layers' names that the base ships itself; it must be tested, not a layer's copy."""
    return [name for name in (*LENT, *sorted(set(layer) - {*LENT, *RUNNER})) if _ships(base, name)]


def runner_names(base: Tree) -> list[str]:
    """Return the test runner's own names that the base ships: such a project cannot be tested by itself here."""
    return [name for name in RUNNER if _ships(base, name)]


def _ships(tree: Tree, name: str) -> bool:
    return any(f"{top}{name}{end}" in tree for top in ("", "src/") for end in ("/__init__.py", ".py"))


def packages(
    base: Tree, trusted: Callable[[str], bool], others: frozenset[str] = shadows.TEST_FOLDERS
) -> tuple[str, ...]:
    """Return the top-level names that the base's own source gives to `import`.

    `others` are never among them (folders of tests, for one), and neither is what Python's own library has: in a split
    run each of these names is answered by the candidate's process.
    """
    found = set()
    for path in base:
        parts = path.removeprefix("src/").split("/")
        if trusted(path) or not path.endswith(".py"):
            continue
        if len(parts) == 1 and parts[0] not in ("setup.py", "noxfile.py"):
            found.add(parts[0].removesuffix(".py"))
        elif parts[1:] == ["__init__.py"]:
            found.add(parts[0])
    return tuple(sorted(n for n in found - others - sys.stdlib_module_names if n.isidentifier()))
