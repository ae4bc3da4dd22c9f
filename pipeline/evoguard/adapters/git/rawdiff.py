"""What git says about a difference, read back: raw entries, counted lines, and the added lines of a patch."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from evoguard.domain.change import FileStatus
from evoguard.domain.diff import decode_path

_STATUS: dict[str, FileStatus] = {"A": "added", "M": "modified", "D": "deleted", "T": "typechange"}
_HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")
_SECTION = b"diff --git "


@dataclass(frozen=True, slots=True)
class RawEntry:
    """One touched file: modes, the new blob's id, and what happened to it."""

    path: str
    status: FileStatus
    mode_old: str
    mode_new: str
    oid: str

    @property
    def sections(self) -> int:
        """Return how many sections a patch has for it: a change of type is a removal and an addition."""
        return 2 if self.status == "typechange" else 1


def raw_entries(out: bytes, most: int) -> tuple[list[RawEntry], int]:
    """Return the first `most` entries of `diff-tree --raw -z` and how many more there are."""
    fields = out.split(b"\0")[:-1]
    entries = []
    for facts, path in zip(fields[0 : 2 * most : 2], fields[1 : 2 * most : 2], strict=True):
        mode_old, mode_new, _, oid, status = facts.decode("ascii").removeprefix(":").split(" ")
        entries.append(RawEntry(decode_path(path), _STATUS[status[0]], mode_old, mode_new, oid))
    return entries, max(0, len(fields) // 2 - most)


def counted(out: bytes) -> dict[str, tuple[int, int] | None]:
    """Return added and deleted lines by path of `diff-tree --numstat -z`; None for a binary file."""
    counts: dict[str, tuple[int, int] | None] = {}
    for row in out.split(b"\0")[:-1]:
        added, deleted, path = row.split(b"\t", 2)
        counts[decode_path(path)] = None if added == b"-" else (int(added), int(deleted))
    return counts


def added_lines(patch: bytes, entries: Iterable[RawEntry]) -> Iterator[tuple[RawEntry, int, str]]:
    """Give file, number and text of every added line of `diff-tree -p -U0`; its sections are in the order of `entries`.

    Lines are taken by the counts of their hunk, so that no content can look like a header. Raises: ValueError when
    patch and entries do not belong together.
    """
    sections = (entry for entry in entries for _ in range(entry.sections))
    lines = iter(patch.split(b"\n"))
    current: RawEntry | None = None
    for line in lines:
        if line.startswith(_SECTION):
            current = next(sections, None)
        elif current is not None and (hunk := _HUNK.match(line)):
            removed, start, added = int(hunk[1] or 1), int(hunk[2]), int(hunk[3] or 1)
            yield from ((current, number, text) for number, text in _hunk(lines, removed, start, added))
    if next(sections, None) is not None or (current is None and patch):
        raise ValueError("the patch has other files than the difference")


def _hunk(lines: Iterator[bytes], removed: int, start: int, added: int) -> Iterator[tuple[int, str]]:
    number = start
    while removed or added:
        line = next(lines, None)
        if line is None:
            return
        if line.startswith(b"-"):
            removed -= 1
        elif line.startswith(b"+"):
            added -= 1
            yield number, line[1:].decode("utf-8", "replace")
            number += 1
