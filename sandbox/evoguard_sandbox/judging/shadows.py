"""Names that a new module of the candidate would take away from the tests.

In a plain run Python looks in the layers, its own library, the tree, its `src`, and then in the folders of the tests:
a module at the top of the tree stands before one that lies beside a test. A process that a test starts looks in the
tree even before Python's own library. In a split run the tests' side holds nothing of the candidate: there a name is
the candidate's only when `changes.packages` says so, and that is made of the base.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from evoguard_sandbox.shown import shown
from evoguard_sandbox.trees import Tree, folders
from evoguard_sandbox.types import Finding

ROOTS = ("", "src")
TEST_FOLDERS = frozenset({"tests", "test", "testing"})
MODULE_ENDS = (".py", ".so", ".pyd", ".pyc")


def test_folders(patterns: Iterable[str]) -> frozenset[str]:
    """Return the top-level names that are folders of tests, by their usual names and by the patterns of a suite."""
    found = set(TEST_FOLDERS)
    for pattern in patterns:
        folder = pattern.removeprefix("src/").removeprefix("**/").rpartition("/")[0].removesuffix("/**")
        if folder and not set(folder) & set("*?["):
            found.add(folder)
    return frozenset(name for name in found if "/" not in name)


def layer_names(layer_dirs: Iterable[Path]) -> frozenset[str]:
    """Return what can be imported from dependency layers."""
    there = [folder for folder in layer_dirs if folder.is_dir()]
    return frozenset(_stem(path.name) for folder in there for path in folder.iterdir() if "-info" not in path.name)


def findings(
    base: Tree,
    candidate: Tree,
    trusted: Callable[[str], bool],
    *,
    extra: Collection[str] = (),
    roots: Collection[str] = (),
    layer_dirs: Iterable[Path] = (),
) -> tuple[Finding, ...]:
    """Return one finding for each new module that would be imported in place of what the tests had on the base.

    `extra` are files of the candidate that are laid out with its code although their names are those of tests; `roots`
    are folders that the base's configuration puts on the path.
    """
    tops = {*ROOTS, *roots}
    places = _places(base, trusted) | tops
    beside = _names(base, places, trusted)
    before = _names(base, places, lambda path: not trusted(path))
    now = _names(candidate, places, lambda path: not trusted(path) or path in extra)
    library = sys.stdlib_module_names | layer_names(layer_dirs)
    known = {name for place in tops for name in before[place]}
    found: dict[str, Finding] = {}
    for place in sorted(places):
        for name, (path, regular) in now[place].items():
            if name in known or name in before[place]:
                continue
            others = [other for other in places if name in beside[other]]
            if any(other != place for other in others) or (others and regular):
                what = "a module that lies beside the tests"
            elif name in library and regular and place in tops:
                what = "a module of Python or of a dependency"
            else:
                continue
            text = f"the candidate's new {shown(path)} takes the name of {what}: {name}"
            found.setdefault(name, Finding("tests.shadowed", text, shown(path), name))
    return tuple(found.values())


def _places(base: Tree, trusted: Callable[[str], bool]) -> set[str]:
    """Return the folders that pytest puts on sys.path: of each test file the first above it that is no package."""
    found = set()
    for path in base:
        if not trusted(path) or not path.endswith(".py"):
            continue
        above = [*folders(path)]
        while above and f"{above[-1]}/__init__.py" in base:
            above.pop()
        found.add(above[-1] if above else "")
    return found


def _names(tree: Tree, places: set[str], wanted: Callable[[str], bool]) -> dict[str, dict[str, tuple[str, bool]]]:
    """Return, for each place, what can be imported from it: one file behind each name, and whether it is regular.

    A regular one is a module or has an `__init__`; any other folder gives way to it, wherever on the path it lies.
    """
    found: dict[str, dict[str, tuple[str, bool]]] = {place: {} for place in places}
    for path in sorted(tree):
        for place in ("", *folders(path)):
            if place not in places or not wanted(path):
                continue
            first, _, rest = path[len(place) + 1 if place else 0 :].partition("/")
            link = tree[path].kind == "link"
            name = first if rest else _stem(first)
            if not name.isidentifier() or not (link or path.endswith(MODULE_ENDS)):
                continue
            regular = not rest or (rest.startswith("__init__.") and "/" not in rest)
            old = found[place].get(name)
            if old is None or (regular and not old[1]):
                found[place][name] = (path, regular)
    return found


def _stem(name: str) -> str:
    """Return the name by which a file is imported: a compiled one carries its platform after the first dot."""
    return name.partition(".")[0]
