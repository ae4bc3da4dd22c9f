"""Go's `go.mod` and `go.sum`."""

from __future__ import annotations

import re
from collections.abc import Iterator

from evoguard.supply.types import Dependency, Fault, Read, decoded, file, short

_MODULE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~/!+-]*\Z")
_VERSION = re.compile(r"v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\Z")
_SUM = re.compile(r"h1:[A-Za-z0-9+/]{43}=\Z")
_DIRECTIVES = ("module", "go", "toolchain", "require", "exclude", "replace", "retract", "godebug", "tool", "ignore")
_IGNORED = ("module", "go", "exclude", "retract", "godebug", "tool", "ignore")


def mod(path: str, data: bytes) -> Read:
    """Return what a `go.mod` requires and replaces; a line that Go would not read is a fault."""
    text = decoded(path, data)
    if isinstance(text, Fault):
        return Read(faults=(text,))
    found: list[Dependency] = []
    faults: list[Fault] = []
    for number, words in _directives(path, text, faults):
        file(_directive(path, number, words), found, faults)
    return Read(tuple(found), tuple(faults))


def sums(path: str, data: bytes) -> Read:
    """Return the modules whose content a `go.sum` names."""
    text = decoded(path, data)
    if isinstance(text, Fault):
        return Read(faults=(text,))
    found: list[Dependency] = []
    faults: list[Fault] = []
    for number, line in enumerate(text.split("\n"), 1):
        words = line.split()
        if not words:
            continue
        version = words[1].removesuffix("/go.mod") if len(words) == 3 else ""
        if not (_MODULE.match(words[0]) and _VERSION.match(version) and _SUM.match(words[2])):
            faults.append(Fault(path, f"no checksum: {short(line, 80)}", number))
        elif not words[1].endswith("/go.mod"):
            found.append(_module(path, number, words[0], version, digest=words[2]))
    return Read(tuple(found), tuple(faults))


def _directives(path: str, text: str, faults: list[Fault]) -> Iterator[tuple[int, list[str]]]:
    """Yield each directive with its words, those of a block one by one."""
    block = ""
    for number, line in enumerate(text.split("\n"), 1):
        words = [word.strip('"`') for word in line.split("//")[0].split()]
        if not words:
            continue
        if block and words == [")"]:
            block = ""
        elif block:
            yield number, [block, *words]
        elif words[1:] == ["("] or words[0].endswith("("):
            block = words[0].rstrip("(")
            if block not in _DIRECTIVES:
                faults.append(Fault(path, f"a directive that nobody knows: {short(block, 40)}", number))
        else:
            yield number, words
    if block:
        faults.append(Fault(path, "a block that does not end"))


def _directive(path: str, number: int, words: list[str]) -> Dependency | Fault | None:
    verb, *rest = words
    if verb in _IGNORED:
        return None
    if verb == "toolchain" and len(rest) == 1:
        return Dependency("Go", "toolchain", rest[0], path, number, rest[0].removeprefix("go"), pinned="version")
    if verb == "require" and len(rest) == 2 and _MODULE.match(rest[0]) and _VERSION.match(rest[1]):
        return _module(path, number, rest[0], rest[1])
    if verb == "replace" and "=>" in rest:
        at = rest.index("=>")
        old, new = rest[:at], rest[at + 1 :]
        if len(old) in (1, 2) and len(new) == 2 and _MODULE.match(new[0]) and _VERSION.match(new[1]):
            return _module(path, number, new[0], new[1], alias=old[0])
        if len(old) in (1, 2) and len(new) == 1 and new[0].startswith(("./", "../", "/")):
            return Dependency(
                "Go", old[0], old[0], path, number, origin="path", where=short(new[0]), pinned="digest", alias=old[0]
            )
    return Fault(path, f"a line that Go does not read: {short(' '.join(words), 80)}", number)


def _module(path: str, number: int, name: str, version: str, *, alias: str = "", digest: str = "") -> Dependency:
    return Dependency(
        "Go", name, name, path, number, version.removeprefix("v"), version, pinned="digest" if digest else "version",
        alias=alias, locked=bool(digest), digests=(digest,) if digest else (),
    )  # fmt: skip
