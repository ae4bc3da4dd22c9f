"""`from code import *` on the trusted side: which names it brings is the code's word, so it may hide none of a test's.

A name of Python's own, or one that the importing file has already, would have the code answer where the test meant
`len` or pytest's `approx`. Such a file does not run split.
"""

from __future__ import annotations

import builtins
import opcode
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_proxy as proxy
else:
    import split_proxy as proxy

Value = Any  # whatever the other side gave
_space = vars(types.ModuleType)["__dict__"].__get__  # the true namespace of a module
_OWN = frozenset(vars(builtins))
_STAR = ("IMPORT_STAR", "CALL_INTRINSIC_1")
"""The instructions that import so: Python 3.11's, and that of later ones, whose other uses look up no attribute."""


def importing(frame: types.FrameType) -> bool:
    """Tell whether a frame is at such an import."""
    return opcode.opname[frame.f_code.co_code[frame.f_lasti]] in _STAR


def listed(link: Value, names: Value, frame: types.FrameType) -> Value:
    """Return a module's `__all__`. Raises: UnsplitError when it would hide something from the importing frame."""
    return _checked(link, names, frame.f_globals) if importing(frame) else names


def spread(link: Value, held: Value, frame: types.FrameType) -> Value:
    """Return a module's namespace; for such an import just its public names. Raises: UnsplitError."""
    if not importing(frame):
        return held
    return dict.fromkeys(_checked(link, [name for name in held if not name.startswith("_")], frame.f_globals))


def _checked(link: Value, names: Value, bound: dict[str, Value]) -> tuple[str, ...]:
    if type(names) not in (list, tuple) or not all(type(name) is str for name in names):
        raise link.refuse("an import of all names, of which there is no plain list")
    for name in names:
        if name in _OWN or (name in bound and not _theirs(bound[name])):
            raise link.refuse(f"an import of all names that hides {name[:100]}")
    return tuple(names)


def _theirs(value: Value) -> bool:
    """Tell whether a value is a stand-in for something of the code's."""
    kind = type(value)
    if issubclass(kind, types.ModuleType):
        return "_split_link" in _space(value)
    return issubclass(kind, (proxy.Px, proxy.PxMeta, proxy.Method))
