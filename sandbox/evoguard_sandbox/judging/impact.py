"""Which test files a change reaches, by the imports that are written in the base's files.

Only the base's text is parsed: on the way from a test to a change, everything before the first changed file is the
base's own. What is imported by a name made at run time is not seen, so this can pick what is worth running first, and
never what may be left out.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Set

from evoguard_sandbox.judging.changes import runnable
from evoguard_sandbox.judging.mutant_words import UNREADABLE, parsed
from evoguard_sandbox.trees import Tree, folders

MOST_BYTES = 256 << 10


def reached(base: Tree, laid: Tree, kept: Set[str]) -> tuple[str, ...] | None:
    """Return the test files of the base from which the change in `laid` is reached; None when that cannot be told.

    It cannot where anything but a Python file changed, or where a file of the base is too large or does not parse.
    """
    changed = {path for path in base.keys() | laid.keys() if path not in kept and base.get(path) != laid.get(path)}
    if not all(path.endswith(".py") and _kind(base, laid, path) for path in changed):
        return None
    users = _users(base, {path for path in base.keys() | laid.keys() if path.endswith(".py")})
    if users is None:
        return None
    seen, waiting = set(changed), list(changed)
    while waiting:
        for path in users.get(waiting.pop(), ()):
            if path not in seen:
                seen.add(path)
                waiting.append(path)
    return tuple(path for path in test_files(base, kept) if path in seen)


def test_files(base: Tree, kept: Set[str]) -> list[str]:
    """Return the base's test files, in order."""
    return runnable({path: base[path] for path in kept if path in base})


def _kind(base: Tree, laid: Tree, path: str) -> bool:
    return all(tree[path].kind != "link" for tree in (base, laid) if path in tree)


def _users(base: Tree, paths: Set[str]) -> dict[str, set[str]] | None:
    """Return, for each file, the files of the base that import it; a test has the conftests above it, too."""
    index = _index(paths)
    users: dict[str, set[str]] = {}
    for path in sorted(base.keys() & paths):
        entry = base[path]
        if len(entry.data) > MOST_BYTES:
            return None
        try:
            names = set(_imported(path, parsed(entry.data)))
        except UNREADABLE:
            return None
        for name in names:
            for used in index.get(name, ()):
                users.setdefault(used, set()).add(path)
        for folder in ("", *folders(path)):
            beside = f"{folder}/conftest.py" if folder else "conftest.py"
            if beside in base and beside != path:
                users.setdefault(beside, set()).add(path)
    return users


def _index(paths: Set[str]) -> dict[str, set[str]]:
    """Return the files behind each dotted name, seen from every folder that could be on the path."""
    found: dict[str, set[str]] = {}
    for path in paths:
        parts = path.removesuffix(".py").split("/")
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        for start in range(len(parts)):
            found.setdefault(".".join(parts[start:]), set()).add(path)
    return found


def _imported(path: str, tree: ast.Module) -> Iterator[str]:
    """Yield every dotted name that importing runs: `a.b.c` runs `a` and `a.b` as well."""
    here = path.split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _prefixes(alias.name.split("."))
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else []
            start = [*above, *(node.module.split(".") if node.module else [])]
            yield from _prefixes(start)
            for alias in node.names:
                yield ".".join([*start, alias.name])


def _prefixes(parts: list[str]) -> Iterator[str]:
    for end in range(1, len(parts) + 1):
        yield ".".join(parts[:end])
