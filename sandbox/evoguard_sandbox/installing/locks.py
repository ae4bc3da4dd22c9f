"""The lock a dependency layer is made from: every line one pinned, hashed package, and nothing else at all.

What pip would do with any other line (fetch an address, read a file, take an index or a variable) is never asked.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evoguard_sandbox.shown import shown
from evoguard_sandbox.trees import Tree
from evoguard_sandbox.types import Finding, LayerError

DEFAULT_LOCK, LOOSE_LOCK = "requirements.lock", "requirements.txt"
MOST_LOCK_BYTES, MOST_PINS = 4 << 20, 2_000
HASHED = "write the lock with hashes, such as `uv pip compile --generate-hashes` or `pip-compile --generate-hashes`"
HEAD = re.compile(
    r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]{0,199})"
    r"(?:\[[A-Za-z0-9 ,._-]{0,200}\])?[ \t]*==[ \t]*(?P<version>[A-Za-z0-9.!+_-]{1,100})"
    r"(?:[ \t]*;(?P<marker>[A-Za-z0-9_ .,'\"<>=!~()+-]{1,500}))?"
)
OPTION = re.compile(r"(?:^|\s)-")
"""A dash at the start of a word would be an option to pip, also inside what looks like a marker."""
HASH = re.compile(r"sha256:[0-9a-f]{64}")
COMMENT = re.compile(r"(?:^|[ \t])#.*")


@dataclass(frozen=True, slots=True)
class Pin:
    """One package of a lock. `marker` says where it is wanted; empty means everywhere."""

    name: str
    version: str
    hashes: frozenset[str]
    """The sha256 of every file that may be it, in hex."""
    marker: str = ""

    @property
    def wanted(self) -> str:
        """Return the pin as one word of a command line; nothing of the lock's own text but these parts reaches pip."""
        return f"{self.name}=={self.version}" + (f" ; {self.marker}" if self.marker else "")


def normal(name: str) -> str:
    """Return a package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def parse(lock: bytes) -> tuple[Pin, ...]:
    """Return the pins of a lock.

    Raises: LayerError when any line is not a package pinned with `==` and hashed with sha256, or when there is none.
    """
    if len(lock) > MOST_LOCK_BYTES:
        raise LayerError("layer.lock_unreadable", f"the lock is larger than {MOST_LOCK_BYTES >> 20} MiB", HASHED)
    try:
        text = lock.decode("utf-8")
    except UnicodeDecodeError as err:
        raise LayerError("layer.lock_unreadable", "the lock is not UTF-8", HASHED) from err
    pins: dict[str, list[Pin]] = {}
    for line in _lines(text):
        pin = _pin(line)
        same = pins.setdefault(normal(pin.name), [])
        same.append(pin)
        if len(same) > 1 and not all(other.marker for other in same):
            raise LayerError(
                "layer.lock_twice", f"the lock names {pin.name} twice", "keep one of them, or give both a marker"
            )
    found = tuple(pin for same in pins.values() for pin in same)
    if not found:
        raise LayerError("layer.lock_empty", "the lock names no package", "leave it out: no layer is needed")
    if len(found) > MOST_PINS:
        raise LayerError("layer.lock_unreadable", f"the lock names more than {MOST_PINS} packages", HASHED)
    return found


def _lines(text: str) -> list[str]:
    """Return the logical lines; a comment ends one, as in pip."""
    lines, held = [], ""
    for raw in text.split("\n"):
        line = raw.removesuffix("\r")
        bare = COMMENT.sub("", line).rstrip(" \t")
        if bare == line.rstrip(" \t") and line.endswith("\\"):
            held += line[:-1] + " "
            continue
        lines.append((held + bare).strip(" \t"))
        held = ""
    return [line for line in [*lines, held.strip(" \t")] if line]


def _pin(line: str) -> Pin:
    head, *hashes = re.split(r"[ \t]+--hash[=\t ]", line)
    match = HEAD.fullmatch(head.rstrip(" \t"))
    if match is None or OPTION.search(match["marker"] or ""):
        raise _refusal(line, head)
    if not hashes:
        raise LayerError("layer.lock_unhashed", f"a line of the lock has no hash: {shown(line, 120)}", HASHED)
    if not all(HASH.fullmatch(value) for value in hashes):
        raise LayerError(
            "layer.lock_unhashed", f"a hash of the lock is not a sha256 in hex: {shown(head, 120)}", HASHED
        )
    values = frozenset(value.removeprefix("sha256:") for value in hashes)
    return Pin(match["name"], match["version"], values, (match["marker"] or "").strip(" \t"))


REFUSED = (
    (r".*\$\{", "layer.lock_variable", "takes a value from the environment", "write the value out"),
    (r"(-e|--editable)\b", "layer.lock_editable", "is an editable install", "pin a released wheel"),
    (r"(-r|-c|--requirement|--constraint)\b", "layer.lock_include", "includes another file", "write one flat lock"),
    (r"-", "layer.lock_option", "is an option", "configure pip where the layer is built, not in the lock"),
    (r".*(://| @ |@\s*file:)", "layer.lock_url", "names an address", "pin a released wheel by name and version"),
    (r"[./~]|.*[/\\]|.*\.(whl|zip|tar\.gz)\b", "layer.lock_path", "names a path", "pin a released wheel by name"),
    (r".*\s--", "layer.lock_option", "carries an option", "leave it out"),
)  # fmt: skip


def _refusal(line: str, head: str) -> LayerError:
    for pattern, code, why, fix in REFUSED:
        if re.match(pattern, head, re.IGNORECASE):
            return LayerError(code, f"a line of the lock {why}: {shown(line, 120)}", fix)
    return LayerError("layer.lock_unpinned", f"a line of the lock is not pinned with ==: {shown(line, 120)}", HASHED)


def lock_path(tree: Tree, name: str = "") -> str:
    """Return where the lock of `tree` is, empty when it has none: `name`, else a default that is fully hashed."""
    if name or DEFAULT_LOCK in tree:
        name = name or DEFAULT_LOCK
        return name if name in tree else ""
    loose = tree.get(LOOSE_LOCK)
    if loose is None or loose.kind == "link":
        return ""
    try:
        parse(loose.data)
    except LayerError:
        return ""
    return LOOSE_LOCK


def lock_of(tree: Tree, name: str = "") -> bytes | None:
    """Return the bytes of the base's lock, None when the project has none.

    Raises: LayerError when the lock that was named is not there, or is a link.
    """
    path = lock_path(tree, name)
    if not path:
        if name:
            fix = "name an existing file as `lock`, or leave it out"
            raise LayerError("layer.lock_missing", f"there is no {shown(name)} in the base", fix)
        return None
    if tree[path].kind == "link":
        raise LayerError("layer.lock_path", f"{shown(path)} is a link", "keep the lock itself in its place")
    return tree[path].data


def lock_changed(base: Tree, candidate: Tree, name: str = "") -> tuple[Finding, ...]:
    """Return a finding for each lock that differs; what was tested was tested with the base's dependencies."""
    found = []
    for path in sorted({lock_path(base, name), lock_path(candidate, name)} - {""}):
        old, new = base.get(path), candidate.get(path)
        if old != new:
            verb = "adds" if old is None else "deletes" if new is None else "changes"
            text = f"the candidate {verb} the lock {shown(path)}; the base's dependencies were used to judge it"
            found.append(Finding("tests.lock_changed", text, shown(path), verb))
    return tuple(found)
