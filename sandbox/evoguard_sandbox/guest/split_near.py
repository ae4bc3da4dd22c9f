"""The trusted side of a split run: tests run here, the code under test runs in another interpreter.

`connect` makes every import of the named packages give stand-ins. What the other side answers is data; the first answer
that is not of the protocol is kept in `Link.tamper`, and from then on every use of a stand-in raises.
"""

from __future__ import annotations

import codecs
import importlib.machinery
import sys
import types
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from evoguard_sandbox.guest import split_guard as guard
    from evoguard_sandbox.guest import split_proxy as proxy
    from evoguard_sandbox.guest import split_wire as wire
    from evoguard_sandbox.guest.split_link import Link
else:
    import split_guard as guard
    import split_proxy as proxy
    import split_wire as wire
    from split_link import Link

Value = Any  # what the import system passes
WAIT_MS = 60_000


class Finder:
    """Finds the named packages on the other side."""

    def __init__(self, link: Link) -> None:
        self.link = link

    def find_spec(self, name: str, _path: Value = None, _target: Value = None) -> Value:
        """Return where a module of the packages is, or None."""
        if name.partition(".")[0] not in self.link.packages:
            return None
        return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]  # by its methods

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        """Import it over there. Raises: what that import raised."""
        self.link.ask("import", spec.name)
        return self.link.module(spec.name)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run nothing: there is no code here."""


def _codec(link: Link, name: str) -> codecs.CodecInfo | None:
    """Return a codec that the candidate registered, or None."""
    if link.tamper or not link.modules or link.ask("codec", name) is not True:
        return None

    def encode(text: str, errors: str = "strict") -> tuple[bytes, int]:
        coded: tuple[bytes, int] = _sized(link, link.ask("encode", name, text, errors), bytes)
        return coded

    def decode(data: Value, errors: str = "strict") -> tuple[str, int]:
        text: tuple[str, int] = _sized(link, link.ask("decode", name, bytes(data), errors), str)
        return text

    parts = [link.ask("codec_part", name, part) for part in range(4)]
    return codecs.CodecInfo(encode, decode, parts[2], parts[3], parts[0], parts[1], name=name)


def _sized(link: Link, said: Value, kind: type) -> Value:
    if type(said) is not tuple or len(said) != 2 or not isinstance(said[0], kind) or type(said[1]) is not int:
        raise link.refuse("a codec that gives something else")
    return said


def connect(
    read_fd: int,
    write_fd: int,
    packages: Sequence[str],
    *,
    wait_ms: int = WAIT_MS,
    most: int = 0,
    known: dict[str, int] | None = None,
) -> Link:
    """Serve every import of `packages` from the interpreter behind the two pipes; call before tests are collected.

    Silence of `wait_ms` within one answer ends the split run. A test that asks more than `most` questions, where that
    is not 0, does not run split, and neither does one that gets an answer of another kind than the base gave, where
    those are `known` (`split_kinds`). From here on the process makes no code out of text and starts no process: load
    what the runner needs before.
    """
    link = Link(wire.Pipe(read_fd, write_fd, wait_ms), packages)
    link.most, link.kinds.known = most, known
    for loaded in [name for name in sys.modules if name.partition(".")[0] in link.packages]:
        del sys.modules[loaded]
    proxy.serve_thaw(link)
    codecs.register(lambda name: _codec(link, name))
    sys.meta_path.insert(0, Finder(link))
    sys.addaudithook(guard.watcher(link))
    return link
