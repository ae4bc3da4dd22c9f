"""Changes of our own making, malicious and honest, written down as text: what stood there, and what stands there now.

A file of changes is a row of `=== class: title`, each followed by files: `+++ path` and the text that it has after the
change. What it had before is in `base.txt`, or under `--- path` in the change itself. `~~~ path` is followed by edits
of the file at the base instead: `<<<`, the text that stands there once, `>>>`, the text in its place. Parts of edits
have `service.txt` as their base. `{{202E}}` stands for that character of Unicode, so that nothing here is hidden.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from evoguard.ports.forge import Blob

FOLDER = Path(__file__).with_name("changed")
FIRST, SECOND, UNSEEN2, UNSEEN3, HONEST = "first.txt", "second.txt", "third.txt", "fourth.txt", "honest.txt"
UNSEEN4, UNSEEN5, HONEST4 = "unseen4.txt", "unseen5.txt", "honest4.txt"
_SERVICE = frozenset({UNSEEN4, HONEST4})
_HEAD = re.compile(r"(?m)^=== ([^:\n]+): (.+)\n")
_FILE = re.compile(r"(?m)^(\+\+\+|---|~~~) (\S+)\n")
_EDIT = re.compile(r"(?ms)^<<<\n(.*?)^>>>\n(.*?)(?=^<<<\n|\Z)")
_CHAR = re.compile(r"\{\{([0-9A-F]{4,5})\}\}")


@dataclass(frozen=True, slots=True)
class Change:
    """One change of a small tree. `pairs`: (path at the base or empty, path now or empty) of what it touches."""

    kind: str
    title: str
    base: Mapping[str, Blob]
    head: Mapping[str, Blob]
    pairs: tuple[tuple[str, str], ...]


def changes(name: str) -> tuple[Change, ...]:
    """Return the changes that a file of this folder writes down. Raises: ValueError for text that is none."""
    base = _base("service.txt" if name in _SERVICE else "base.txt")
    return tuple(_change(kind, title, text, base) for kind, title, text in _sections(name))


@cache
def _base(name: str) -> Mapping[str, Blob]:
    ((_, _, text),) = _sections(name)
    return {path: _blob(said) for _, path, said in _files(text)}


def _sections(name: str) -> list[tuple[str, str, str]]:
    parts = _HEAD.split((FOLDER / name).read_text(encoding="utf-8"))
    if parts[0] or len(parts) % 3 != 1:
        raise ValueError(f"{name} does not begin with a change")
    return list(zip(parts[1::3], parts[2::3], parts[3::3], strict=True))


def _files(text: str) -> list[tuple[str, str, str]]:
    parts = _FILE.split(text)
    return list(zip(parts[1::3], parts[2::3], parts[3::3], strict=True))


def _change(kind: str, title: str, text: str, stood: Mapping[str, Blob]) -> Change:
    files = _files(text)
    base = {**stood, **{path: _blob(said) for sign, path, said in files if sign == "---"}}
    new = {path: _blob(said) for sign, path, said in files if sign == "+++"}
    new |= {path: _edited(base[path], said, title) for sign, path, said in files if sign == "~~~"}
    gone = {path for sign, path, _ in files if sign == "---"} - new.keys()
    head = {path: blob for path, blob in {**base, **new}.items() if path not in gone}
    pairs = [(path if path in base else "", path) for path in new] + [(path, "") for path in sorted(gone)]
    return Change(kind, title, base, head, tuple(pairs))


def _edited(blob: Blob, said: str, title: str) -> Blob:
    text = blob.data.decode()
    for old, new in _EDIT.findall(said):
        if text.count(old.rstrip("\n")) != 1:
            raise ValueError(f"{title}: stands there {text.count(old)} times: {old[:60]!r}")
        text = text.replace(old.rstrip("\n"), new.rstrip("\n"))
    return _blob(text)


def _blob(text: str) -> Blob:
    return Blob("100644", _CHAR.sub(lambda found: chr(int(found.group(1), 16)), text).encode())
