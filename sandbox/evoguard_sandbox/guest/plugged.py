"""What a plugin that the base names puts into `unittest.mock`: told by name, for the host to compare with the base.

pytest-mock does so, to say more when a mock's check fails. A patch counts as the plugin's only while it is one of the
functions that its modules held before any file of the tree was read, and while those functions are what they were.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from typing import Any

MOCK = "unittest.mock."
Look = Callable[[tuple[str, ...]], dict[str, Any]]


class Plugged:
    """The named plugins of one run, as they were when pytest took them in; `look` tells what is in some packages."""

    def __init__(self, names: list[str], look: Look) -> None:
        self.names, self.look = frozenset(names), look
        self.held: dict[str, Any] = {}
        self.tables: dict[str, dict[Any, Any]] = {}

    def take(self, plugin: Any) -> None:  # noqa: ANN401 (whatever pytest takes for a plugin)
        """Remember the functions and tables of a plugin's package, if it is one of the named; the first time holds."""
        name = getattr(plugin, "__name__", None)
        if isinstance(name, str) and name in self.names:
            packages = (name.partition(".")[0],)
            self.held = {**self.look(packages), **self.held}
            self.tables = {**_tables(packages), **self.tables}

    def owner(self, name: str, seen: Any) -> str:  # noqa: ANN401 (a function and its code)
        """Return the plugin's function that stands at a name of `unittest.mock`, or nothing."""
        if not name.startswith(MOCK) or seen is None or seen[1] is None:
            return ""
        return next((own for own, was in self.held.items() if was[0] is seen[0] and was[1] is seen[1]), "")

    def changed(self, known: dict[str, Any]) -> str:
        """Return a function of the plugins that is no longer what it was, or nothing; `known` is the test runner's."""
        packages = tuple({own.partition(".")[0] for own in self.held})
        now = self.look(packages)
        for own, was in self.held.items():
            seen = now.get(own)
            if seen is None or seen[0] is not was[0] or seen[1] is not was[1]:
                return own
        theirs = {id(was[0]): was for was in (*known.values(), *self.held.values()) if was[1] is not None}
        tables = _tables(packages)
        for own, table in {**self.tables, **tables}.items():
            same = tables.get(own) is self.tables.get(own, table) and type(table) is dict
            if not same or not all(_kept(entry, theirs) for entry in table.items()):
                return own
        return ""


def _tables(packages: tuple[str, ...]) -> dict[str, dict[Any, Any]]:
    """Return every dict that modules of some packages hold, by name, but for what Python itself puts there."""
    return {
        f"{name}.{key}": value
        for name, module in list(sys.modules.items())
        if name.split(".")[0] in packages
        for key, value in list(vars(module).items())
        if isinstance(value, dict) and not key.startswith("__")
    }


def _kept(entry: tuple[Any, Any], theirs: dict[int, Any]) -> bool:
    """Tell whether what a table holds under a name cannot be called, or is the known function of that name.

    pytest-mock calls the functions that it replaced out of such a table.
    """
    key, value = entry
    if type(value) is not types.FunctionType:
        return not callable(value)
    was = theirs.get(id(value))
    return was is not None and was[1] is value.__code__ and value.__code__.co_name == key
