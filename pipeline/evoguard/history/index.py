"""The commits behind a base and the files they touched: built once, grown at each merge, asked in milliseconds.

Names of authors in commits are never looked at: whoever writes a commit chooses them. Dates count where they make a
change riskier; one in the future counts as now.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from evoguard.ports.impact import Past

FIX_DAYS, YOUNG_DAYS, DAY_S = 180, 7, 86_400
MOST_TOUCHES = 2_000_000
HEADER = b"//"
"""What begins a commit in git's list: no path of a tree begins with a slash, and no message holds a NUL."""
LOG_FORMAT = "//%H %ct%n%B"
_FIX = re.compile(
    rb"\b(fix|fixe[sd]|fixing|hotfix|bug|bugs|bugfix|revert|reverts|reverted|rollback|regression)\b", re.I
)
_MESSAGE_BYTES = 4_000


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit: id, date (unix s), whether its message speaks of a fault that it mends, and the paths it touched."""

    id: str
    at: int
    fix: bool
    paths: tuple[str, ...]


class History:
    """The past of one base commit; immutable, so that a newer one can share what it holds."""

    def __init__(self, tip: str, commits: Sequence[Commit], touched: Mapping[str, Sequence[int]], *, cut: bool) -> None:
        self.tip, self.cut = tip, cut
        self._commits, self._touched = commits, touched

    @classmethod
    def of(cls, tip: str, commits: Iterable[Commit], *, cut: bool = False) -> History:
        """Return the past of `tip`; `cut` says that older commits were left out."""
        return cls(tip, [], {}, cut=cut).grown(tip, commits)

    def grown(self, tip: str, commits: Iterable[Commit]) -> History:
        """Return the past of a newer tip: this one and the commits between."""
        every, fresh = list(self._commits), defaultdict[str, list[int]](list)
        touches, cut = sum(map(len, self._touched.values())), self.cut
        for commit in commits:
            touches += len(commit.paths)
            if touches > MOST_TOUCHES:
                cut = True
                break
            for path in commit.paths:
                fresh[path].append(len(every))
            every.append(Commit(commit.id, commit.at, commit.fix, ()))
        touched = {**self._touched, **{p: [*self._touched.get(p, ()), *more] for p, more in fresh.items()}}
        return History(tip, every, touched, cut=cut)

    def past(self, paths: Iterable[str], *, now_s: int, authors: Mapping[str, str]) -> Past:
        """Return what the past says of these files. `authors`: commit → the authenticated author of our own merge.

        A file that no commit touched is new. Everyone whose commits are not merges of ours counts as one author.
        """
        fixes: set[int] = set()
        people: set[str] = set()
        young = False
        for path in set(paths):
            at = self._touched.get(path, ())
            born = min((self._commits[one].at for one in at), default=now_s)
            young = young or born > now_s - YOUNG_DAYS * DAY_S  # a date in the future is newer than any
            fixes.update(one for one in at if self._commits[one].fix and self._commits[one].at > self._since(now_s))
            people.update(authors.get(self._commits[one].id, "") for one in at)
        return Past(len(fixes), young, len(people), self._reaches(now_s))

    def _since(self, now_s: int) -> int:
        return now_s - FIX_DAYS * DAY_S

    def _reaches(self, now_s: int) -> bool:
        """Tell whether what was left out, if anything, is older than every window."""
        return not self.cut or any(commit.at <= self._since(now_s) for commit in self._commits)


def commits_of(log: bytes) -> Iterator[Commit]:
    """Yield the commits of `git log -z --name-only --format=LOG_FORMAT`, newest first; a damaged entry is young."""
    head, paths = b"", list[str]()
    for field in log.split(b"\0"):
        if field.startswith(HEADER):
            if head:
                yield _commit(head, paths)
            head, paths = field, []
        elif field and head:
            name = field.removeprefix(b"\n") if not paths else field
            if name:
                paths.append(name.decode("utf-8", "replace"))
    if head:
        yield _commit(head, paths)


def _commit(head: bytes, paths: list[str]) -> Commit:
    facts, _, message = head.removeprefix(HEADER).partition(b"\n")
    oid, _, date = facts.partition(b" ")
    at = int(date) if date.isdigit() and len(date) < 16 else 1 << 62
    return Commit(oid.decode("ascii", "replace"), at, bool(_FIX.search(message[:_MESSAGE_BYTES])), tuple(paths))
