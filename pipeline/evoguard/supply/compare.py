"""What a change brings: dependencies and faults of head that base does not have, with what is to be said of each."""

from __future__ import annotations

import posixpath
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from evoguard.domain.canonical import Json
from evoguard.supply.licences import choices
from evoguard.supply.lookalike import Alike, Known
from evoguard.supply.popular import POPULAR
from evoguard.supply.tree import Files, Tree
from evoguard.supply.types import Dependency, Ecosystem, Fault, Pinned, short

Change = Literal["added", "changed", "renamed", "rehashed"]
"""`renamed`: installed under a name that is not its own; `rehashed`: other content under the same version."""
NOBODY = Alike()
_FIRMNESS: Mapping[Pinned, int] = {"floating": 0, "version": 1, "digest": 2}
_ABSENT = 3


@dataclass(frozen=True, slots=True)
class Brought:
    """One dependency that is new in the change, or is not what it was."""

    dependency: Dependency
    change: Change
    alike: Alike = NOBODY
    before: str = ""
    """The version at the base; empty when there was none."""
    pinned_before: Pinned | Literal[""] = ""
    """How firm the base had it in the same file, at the firmest; empty when it was not there."""

    def as_json(self) -> Mapping[str, Json]:
        """Return the row that policies judge."""
        one = self.dependency
        options: list[Json] = [list(choice) for choice in choices(one.licence)]
        return {
            "ecosystem": one.ecosystem, "name": short(one.said, 120), "version": short(one.version, 80),
            "before": short(self.before, 80), "change": self.change, "path": one.path, "line": one.line,
            "origin": one.origin, "where": one.where, "pinned": one.pinned, "pinned_before": self.pinned_before,
            "scripts": one.scripts,
            "alike": short(self.alike.name, 120), "how": self.alike.how, "licence": short(one.licence, 120),
            "licences": options, "alias": short(one.alias, 120), "own": one.own,
        }  # fmt: skip


def brought(base: Tree, head: Tree, renamed: Mapping[str, str]) -> tuple[Brought, ...]:
    """Return what is new. `renamed`: path at the base → path now; what only moved with its file is old."""
    old: dict[tuple[object, ...], int] = {}
    for one in _covered(base.dependencies):
        key = _key(one, renamed.get(one.path, one.path))
        old[key] = max(old.get(key, 0), _FIRMNESS[one.pinned])
    firm = _firm_before(base, renamed)
    names: dict[tuple[Ecosystem, str], list[Dependency]] = defaultdict(list)
    for one in base.dependencies:
        names[one.ecosystem, one.name].append(one)
    # A row that is less firm than it was, for its lock is gone, is new as well.
    fresh = [
        one for one in _covered(head.dependencies) if old.get(_key(one, one.path), _ABSENT) > _FIRMNESS[one.pinned]
    ]
    known = {eco: _known(eco, base.dependencies) for eco in {one.ecosystem for one in fresh}}
    return tuple(
        replace(
            _brought(one, names.get((one.ecosystem, one.name), []), known[one.ecosystem]),
            pinned_before=firm.get(_place(one, one.path), ""),
        )
        for one in _told(fresh)
    )


def new_faults(base: Tree, head: Tree, files: tuple[Files, Files], renamed: Mapping[str, str]) -> tuple[Fault, ...]:
    """Return the faults of files that the change touched, and those that the base did not have."""
    old = {(renamed.get(fault.path, fault.path), fault.why) for fault in base.faults}
    before = {now: was for was, now in renamed.items()}
    found = []
    for fault in head.faults:
        was, now = files[0].get(before.get(fault.path, fault.path)), files[1].get(fault.path)
        touched = was is None or now is None or was.data != now.data
        if touched or (fault.path, fault.why) not in old:
            found.append(fault)
    return tuple(found)


def _firm_before(base: Tree, renamed: Mapping[str, str]) -> Mapping[tuple[object, ...], Pinned]:
    """Return how firm the base has each package in each file, the firmest of its rows there."""
    found: dict[tuple[object, ...], Pinned] = {}
    for one in _covered(base.dependencies):
        place = _place(one, renamed.get(one.path, one.path))
        found[place] = max(one.pinned, found.get(place, "floating"), key=_FIRMNESS.__getitem__)
    return found


def _place(one: Dependency, path: str) -> tuple[object, ...]:
    return one.ecosystem, one.name, one.alias, one.origin, one.where, one.scripts, path


def _key(one: Dependency, path: str) -> tuple[object, ...]:
    told = one.version or one.spec
    return (one.ecosystem, one.name, one.alias, told, one.origin, one.where, one.scripts, one.own, path,
            one.digests if one.locked else (), one.locked)  # fmt: skip


def _covered(rows: Sequence[Dependency]) -> Iterator[Dependency]:
    """Yield dependencies, those of a manifest as firm as the lock in its folder, or in one above, has them."""
    locks: dict[tuple[Ecosystem, str], list[Dependency]] = defaultdict(list)
    for one in rows:
        if one.locked:
            locks[one.ecosystem, one.alias or one.name].append(one)
    for one in rows:
        yield one if one.locked else _as_locked(one, locks.get((one.ecosystem, one.alias or one.name), []))


def _as_locked(one: Dependency, locks: Sequence[Dependency]) -> Dependency:
    folder = posixpath.dirname(one.path)
    fits = [lock for lock in locks if _above(posixpath.dirname(lock.path), folder) and lock.path != one.path]
    if not fits or one.origin != "index":
        return one
    best = max(fits, key=lambda lock: _FIRMNESS[lock.pinned])
    pinned = max(one.pinned, best.pinned, key=_FIRMNESS.__getitem__)
    return replace(one, pinned=pinned, licence=one.licence or best.licence)


def _above(folder: str, inner: str) -> bool:
    return folder in ("", inner) or inner.startswith(f"{folder}/")


def _told(fresh: Sequence[Dependency]) -> Iterator[Dependency]:
    """Yield each dependency once: the lock's row where there is one, for it tells more."""
    locked = {(one.ecosystem, one.name, one.alias) for one in fresh if one.locked}
    seen: set[tuple[object, ...]] = set()
    for one in fresh:
        same = (one.ecosystem, one.name, one.alias)
        if not one.locked and same in locked and one.origin == "index" and one.pinned != "floating":
            continue
        key = (*same, one.version, one.origin, one.where, one.pinned, one.scripts)
        if key not in seen:
            seen.add(key)
            yield one


def _known(ecosystem: Ecosystem, base: Sequence[Dependency]) -> Known:
    return Known({one.name for one in base if one.ecosystem == ecosystem and one.name.isascii()} | POPULAR[ecosystem])


def _brought(one: Dependency, before: Sequence[Dependency], known: Known) -> Brought:
    versions = sorted({was.version for was in before if was.version})
    alike = NOBODY if before or one.own or one.origin == "other-index" else known.alike(one.said, one.name)
    change: Change = "changed" if before or one.own else "added"
    if one.alias and not any(was.alias == one.alias for was in before):
        change = "renamed"
    elif _rehashed(one, before):
        change = "rehashed"
    return Brought(one, change, alike, short(", ".join(versions), 80))


def _rehashed(one: Dependency, before: Sequence[Dependency]) -> bool:
    """Tell whether a lock names other content for a version that it had: no hash of before is left."""
    same = [was for was in before if was.version == one.version and was.digests and was.locked]
    return bool(one.digests and one.version and same) and all(not set(was.digests) & set(one.digests) for was in same)
