"""What a change reaches, from the objects of our own repositories; each version of a file is read once and kept."""

from __future__ import annotations

import asyncio
import posixpath
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from evoguard.adapters.git.history import GitHistory
from evoguard.adapters.git.objects import read_blobs
from evoguard.adapters.git.rawdiff import raw_entries
from evoguard.adapters.git.runner import Git
from evoguard.adapters.git.store import Store
from evoguard.adapters.syntax import UNREAD, SyntaxReader
from evoguard.domain.change import CommitId, Diff, is_object_id
from evoguard.domain.component import ComponentFile, matches
from evoguard.domain.diff import MOST_PATH_BYTES, SYMLINK
from evoguard.domain.reach import MOST_LISTED, Dependant, Reach, is_test
from evoguard.errors import InputError
from evoguard.impact import owners
from evoguard.impact.graph import Facts, Imports, dependants, is_python, packages, possible_users
from evoguard.impact.syntax import MOST_BYTES
from evoguard.ports.impact import Past

MOST_PYTHON, MOST_READ_BYTES, MOST_TREE_BYTES = 20_000, 64 << 20, 64 << 20
MOST_FACTS, MOST_BASES, MOST_CHANGED = 60_000, 4, 1_000
WHOLE_TREE, TOO_LARGE, MOST_LINKS = "(the tree)", "it is larger than 512 KiB", 2_000
_DIFF = ("diff-tree", "-r", "--no-renames", "--no-ext-diff", "--no-textconv", "--no-color", "--full-index", "-z",
         "--raw")  # fmt: skip
Listed = Mapping[str, tuple[str, int]]
"""Path → blob and size."""


@dataclass(frozen=True, slots=True)
class Base:
    """One base commit: its files, who imports whom in it, its packages and tests, and what it says of owners."""

    files: Listed
    facts: Mapping[str, Facts]
    imports: Imports
    packages: frozenset[str]
    tests: Sequence[str]
    links: Mapping[str, Sequence[str]]
    """File or folder → the symlinks that lead to it."""
    owners: owners.Owners
    unknown: Mapping[str, str]


class GitImpact:
    """What `ports.impact.Impact` promises, of the repositories in `repos_dir`."""

    def __init__(self, repos_dir: Path, *, reader: SyntaxReader | None = None) -> None:
        self._store = Store(repos_dir)
        self._history = GitHistory(self._store)
        self._reader = reader or SyntaxReader()
        self._facts: dict[str, Facts] = {}
        self._bases: dict[tuple[str, str], Base] = {}

    async def past(
        self, repo: str, base: CommitId, paths: Iterable[str], *, now_s: int, authors: Mapping[str, str]
    ) -> Past:
        """Return what the commits behind `base` say of the files. Raises: as the port."""
        return await self._history.past(repo, base, paths, now_s=now_s, authors=authors)

    async def reach(self, repo: str, base: CommitId, head: CommitId, *, diff: Diff, rules: ComponentFile) -> Reach:
        """Return what `head` reaches. Raises: as the port."""
        if not (is_object_id(base) and is_object_id(head)):
            raise InputError("a commit is named by its full id", code="ref.invalid")
        git = self._store.git(repo)
        known = await self._base(git, repo, base)
        touched = [path for path in diff.touched() if is_python(path)]
        fresh = await _changed(git, base, head)
        now = await self._read(git, {path: fresh[path] for path in touched if path in fresh})
        unknown = {**known.unknown, **{path: one.why for path, one in now.items() if one.why}}
        unknown |= {path: f.why for path in touched if (f := known.facts.get(path)) is not None and f.why}
        if diff.omitted:
            unknown[WHOLE_TREE] = f"{diff.omitted} changed files are not listed"
        return await asyncio.to_thread(_reach, known, now, diff, rules, unknown)

    async def _base(self, git: Git, repo: str, commit: CommitId) -> Base:
        found = self._bases.pop((repo, commit), None) or await self._made(git, commit)
        while len(self._bases) >= MOST_BASES:
            self._bases.pop(next(iter(self._bases)))
        if UNREAD not in {one.why for one in found.facts.values()}:  # else the next change reads on
            self._bases[repo, commit] = found
        return found

    async def _made(self, git: Git, commit: CommitId) -> Base:
        files, links, whole = await _listed(git, commit)
        python = {path: one for path, one in files.items() if is_python(path)}
        unknown = {} if whole else {WHOLE_TREE: "it has too many files to be listed"}
        if len(python) > MOST_PYTHON or sum(min(size, MOST_BYTES) for _, size in python.values()) > MOST_READ_BYTES:
            unknown, python = {WHOLE_TREE: "it has too much Python to be read"}, {}
        facts = await self._read(git, python)
        owned = next((files[place] for place in owners.PLACES if place in files), None)
        owner = owners.Owners(whole=owned is None)
        if owned is not None and owned[1] <= MOST_BYTES:
            owner = owners.parse((await asyncio.to_thread(read_blobs, git.git_dir, (owned[0],)))[owned[0]])
        imports = await asyncio.to_thread(Imports, facts)
        tests = sorted(path for path in python if is_test(path))
        if len(links) > MOST_LINKS:
            unknown, links = {**unknown, WHOLE_TREE: "it has too many symlinks to be followed"}, {}
        blobs = await asyncio.to_thread(read_blobs, git.git_dir, links.values()) if links else {}
        aliases = _aliases({path: blobs[oid] for path, oid in links.items()})
        return Base(files, facts, imports, packages(files), tests, aliases, owner, unknown)

    async def _read(self, git: Git, files: Listed) -> dict[str, Facts]:
        """Return what each file says; only versions that were never read are read."""
        missing = {oid: size for oid, size in files.values() if oid not in self._facts}
        sizes = accumulate(size for size in missing.values() if size <= MOST_BYTES)
        small = [oid for oid, size in missing.items() if size <= MOST_BYTES and next(sizes) <= MOST_READ_BYTES]
        blobs = await asyncio.to_thread(read_blobs, git.git_dir, small) if small else {}
        read = await self._reader.read([blobs[oid] for oid in small]) if small else []
        found = dict(zip(small, read, strict=True))
        for oid in missing.keys() - found.keys():
            found[oid] = Facts(why=TOO_LARGE if missing[oid] > MOST_BYTES else UNREAD, words=None)
        answer = {path: found.get(oid) or self._facts[oid] for path, (oid, _) in files.items()}
        self._facts |= {oid: one for oid, one in found.items() if one.why != UNREAD}
        while len(self._facts) > MOST_FACTS:
            self._facts.pop(next(iter(self._facts)))
        return answer


def _reach(
    known: Base, now: Mapping[str, Facts], diff: Diff, rules: ComponentFile, unknown: Mapping[str, str]
) -> Reach:
    touched = diff.touched()
    layers = (known.imports, Imports(now))
    changed = {path for path in touched if is_python(path)}
    tests = sorted({*known.tests, *(path for path in now if is_test(path))})
    far = dependants(changed, layers, known.packages, tests, known.links)
    symbols = {path: _differ(known.facts.get(path), now.get(path)) for path in sorted(changed)}
    names = {name.split(".")[0] for found in symbols.values() for name in found}
    facts = {**known.facts, **now}
    rows = [
        Dependant(path, distance, _named(facts.get(path), names) if distance == 1 else ())
        for path, distance in sorted(far.items(), key=lambda item: (item[1], item[0]))
    ]
    owned = known.owners.of(touched[: owners.MOST_PATHS])
    reached = [*touched, *(path for path in far if not is_test(path))]
    hit = [c for c in rules.components if any(matches(path, glob) for glob in c.paths for path in reached)]
    return Reach(
        symbols={path: found for path, found in symbols.items() if found},
        dependants=tuple(rows),
        tests=tuple(sorted(path for path in changed.union(far) if is_test(path))),
        components=tuple(c.name for c in hit),
        flags=tuple(c.flag for c in hit if c.flag),
        owners={path: owned[path] for path in touched[:MOST_LISTED] if path in owned},
        owner_groups=known.owners.groups(touched, owned),
        unknown={**possible_users(changed, layers), **_behind_links(changed.union(far), known.links), **unknown},
    )


def _differ(before: Facts | None, after: Facts | None) -> tuple[str, ...]:
    old, new = (one.symbols if one is not None else {} for one in (before, after))
    return tuple(sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name)))


def _named(facts: Facts | None, symbols: set[str]) -> tuple[str, ...]:
    rows = facts.imports if facts is not None else ()
    return tuple(sorted({name for _, _, names in rows for name in names if name in symbols}))[:MOST_LISTED]


def _aliases(links: Mapping[str, bytes]) -> dict[str, list[str]]:
    """Return file or folder → the symlinks that lead to it, by their text: a link to a link leads to that."""
    found = defaultdict[str, list[str]](list)
    for path, target in sorted(links.items()):
        to = posixpath.normpath(posixpath.join(posixpath.dirname(path), target.decode("utf-8", "backslashreplace")))
        found[to].append(path)
    return found


def _behind_links(reached: Set[str], links: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the symlinks to folders in which something is reached: under their names it has users that nobody sees."""
    folders = {"."} | {path[:at] for path in reached for at, char in enumerate(path) if char == "/"}
    return {link: "it is a symlink to a folder" for folder in folders for link in links.get(folder, ())}


async def _listed(git: Git, commit: CommitId) -> tuple[dict[str, tuple[str, int]], dict[str, str], bool]:
    """Return plain files and symlinks of a tree, and whether these are all; a name of other bytes is no module's."""
    said = await git.run("ls-tree", "-r", "-z", "-l", "--full-tree", commit, limit_bytes=MOST_TREE_BYTES)
    if said.code and not said.truncated:
        raise InputError(f"commit {commit[:12]} cannot be listed: {said.why}", code="ref.missing", fix="submit again")
    files: dict[str, tuple[str, int]] = {}
    links: dict[str, str] = {}
    for row in said.out.split(b"\0")[:-1]:
        facts, _, path = row.partition(b"\t")
        mode, _, oid, size = facts.decode("ascii", "replace").split()
        name = path.decode("utf-8", "backslashreplace")
        if mode.startswith("100") and size.isdigit():
            files[name] = (oid, int(size))
        elif mode == SYMLINK and size.isdigit() and int(size) <= MOST_PATH_BYTES:
            links[name] = oid
    return files, links, not said.truncated


async def _changed(git: Git, base: CommitId, head: CommitId) -> dict[str, tuple[str, int]]:
    """Return the changed plain files of the head, by blob and size."""
    raw = await git.run(*_DIFF, base, head)
    if raw.truncated or raw.code:
        raise InputError("the commits cannot be compared", code="ref.missing", fix="submit it again")
    entries = [one for one in raw_entries(raw.out, MOST_CHANGED)[0] if one.mode_new.startswith("100")]
    asked = "".join(f"{one.oid}\n" for one in entries).encode()
    sizes = (await git.ok("cat-file", "--batch-check=%(objectsize)", stdin=asked)).split() if entries else []
    return {one.path: (one.oid, int(size)) for one, size in zip(entries, sizes, strict=True)}
