"""Which names a tree may hold: every path must mean the same on every file system, in every log and to every reader."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from evoguard.errors import InputError

MOST_SEGMENT_BYTES = 255
MOST_PATH_BYTES = 4096
MODES = frozenset({"100644", "100755", "120000"})
SYMLINK = "120000"
SUBMODULE = "160000"

_SEGMENT = r"[A-Za-z0-9_+=@,-](?:[A-Za-z0-9._+=@,-]{0,80}[A-Za-z0-9_+=@,-])?"
_PLAIN = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT}){{0,20}}\Z")
"""Names that no rule below can refuse, most of a tree, decided at once; a leading dot or a tilde takes the long way."""
_GIT = re.compile(r"(\.git|git~[0-9]+)([ .]*|[ .]*:.*)\Z", re.IGNORECASE)
"""Git's folder, also as NTFS would take it: short names, trailing dots and spaces, streams."""


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One entry of a whole tree, as git's objects say; size in bytes."""

    path: str
    mode: str
    oid: str
    size: int = 0


def decode_path(raw: bytes) -> str:
    """Return a path's text. Raises: InputError `path.not_utf8` for bytes that are none."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as err:
        raise _refused("not_utf8", ascii(raw[:80]), "its bytes are not UTF-8") from err


def check_path(path: str) -> str:
    """Return `path` when it is safe to show, store and write on any file system.

    Raises: InputError `path.not_utf8`, `path.control`, `path.not_nfc`, `path.too_long`, `path.outside` or `path.git`.
    """
    if _PLAIN.match(path):
        return path
    _check_text(path)
    parts = path.split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in path:
        raise _refused("outside", path, "it is absolute, has empty or dot segments, or a backslash")
    if any(_GIT.match(part) for part in parts):
        raise _refused("git", path, "it is git's own folder on some file system")
    return path


def check_tree(entries: Iterable[TreeEntry], targets: Mapping[str, bytes]) -> None:
    """Refuse a tree that may not be written out; `targets` are the symlinks' contents by path.

    Raises: InputError as check_path, or `path.submodule`, `path.mode`, `path.symlink_outside`, `path.collision`.
    """
    seen: dict[str, str] = {}
    for entry in entries:
        check_path(entry.path)
        if entry.mode == SUBMODULE:
            raise _refused("submodule", entry.path, "submodules are not followed", "vendor the files")
        if entry.mode not in MODES:
            raise _refused("mode", entry.path, f"git mode {entry.mode!r} is neither file nor symlink")
        if entry.mode == SYMLINK:
            check_symlink(entry.path, targets.get(entry.path, b""))
        _check_collision(entry.path, seen)


def check_symlink(path: str, target: bytes) -> None:
    """Refuse a symlink that may lead out of the tree: `..` may only lead, and never above the top.

    A `..` after a name could be taken from behind another symlink, so it is refused wherever it would lead.
    Raises: InputError `path.symlink_outside`.
    """
    parts = target.split(b"/")
    ups = next((i for i, part in enumerate(parts) if part != b".."), len(parts))
    inside = target and not target.startswith(b"/") and ups <= path.count("/")
    try:
        text = target.decode("utf-8")
        for part in text.split("/")[ups:]:
            if part not in ("", "."):
                check_path(part)
    except (UnicodeDecodeError, InputError):
        inside = False
    if not inside or len(target) > MOST_PATH_BYTES:
        raise _refused(
            "symlink_outside", path, "the symlink may lead out of the tree", "point it at a file of the tree"
        )


def fold(path: str) -> str:
    """Return the name under which a file system that ignores case and composition would store `path`."""
    return (
        path.lower() if path.isascii() else unicodedata.normalize("NFC", unicodedata.normalize("NFD", path).casefold())
    )


def _check_text(path: str) -> None:
    try:
        raw = path.encode("utf-8")
    except UnicodeEncodeError as err:
        raise _refused("not_utf8", path, "it holds a lone surrogate") from err
    if any(unicodedata.category(c) in {"Cc", "Cf", "Zl", "Zp", "Co", "Cn"} for c in path):
        raise _refused("control", path, "it holds control, direction or invisible characters")
    if unicodedata.normalize("NFC", path) != path:
        raise _refused("not_nfc", path, "it is not in Unicode normal form C")
    if len(raw) > MOST_PATH_BYTES or any(len(part) > MOST_SEGMENT_BYTES for part in raw.split(b"/")):
        raise _refused("too_long", path, "a segment is at most 255 bytes and a path 4096")


def _check_collision(path: str, seen: dict[str, str]) -> None:
    """Note a path and its folders; a folder or file that another spelling already took is a collision."""
    end = len(path)
    while end > 0:
        name = path[:end]
        folded = fold(name)
        other = seen.setdefault(folded, name)
        if other != name:
            raise _refused("collision", path, f"it is one name with {shown_path(other)} where case is ignored")
        end = path.rfind("/", 0, end)
        if end > 0 and seen.get(fold(path[:end])) == path[:end]:
            return


def shown_path(path: str, limit: int = 120) -> str:
    """Return a path fit for people: bounded, and escaped where it holds anything but plain printable text."""
    return ascii(path[:limit]) if not path.isprintable() or len(path) > limit else repr(path)


def _refused(rule: str, path: str, why: str, fix: str = "rename it") -> InputError:
    return InputError(f"path {shown_path(path)}: {why}", code=f"path.{rule}", fix=fix)
