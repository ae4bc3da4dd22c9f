"""What the guard says of a change that is otherwise clean: the real scanner, readers and rules, and no sandboxed tests.

Many changes are scanned in one run of the engine, each under a folder of its own: a hit of one is no hit of another.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.adapters.scanners.semgrep import Semgrep
from evoguard.bench.asked import question
from evoguard.bench.corpus.changes import Change
from evoguard.domain.canonical import Json
from evoguard.domain.scan import Hit, Scan, new_hits
from evoguard.domain.secrets import find_secrets
from evoguard.domain.text import hidden
from evoguard.domain.verdict import Finding
from evoguard.errors import UnavailableError
from evoguard.looks.unusual import unusual
from evoguard.ports.forge import Blob
from evoguard.supply.inspection import inspect

AT_ONCE = 12
UNNAMED = frozenset({
    "approval.guard_paths", "change.lock_changed", "change.risk", "evidence.advisories", "evidence.needs_review",
    "evidence.not_scanned",
})  # fmt: skip
"""What asks or refuses without saying what is wrong in the change: it does not count as having caught anything."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A change with what was said of it; findings that name no reason stand in `deny` and `escalate` as well."""

    change: Change
    deny: tuple[Finding, ...]
    escalate: tuple[Finding, ...]

    @property
    def caught(self) -> str:
        """Return `denied` or `escalated` when a finding names a reason in a file that the change touches, else ``."""
        if any(self._named(one) for one in self.deny):
            return "denied"
        return "escalated" if any(self._named(one) for one in self.escalate if not _unread(one)) else ""

    def _named(self, finding: Finding) -> bool:
        touched = {path for pair in self.change.pairs for path in pair if path}
        return finding.code not in UNNAMED and finding.path in touched


async def judged(changes: Sequence[Change], scanner: Semgrep, rules: OpaWasmPolicies) -> list[Judged]:
    """Return what is said of each. Raises: UnavailableError when a scan was not whole, or there is no verdict."""
    found: list[Judged] = []
    for start in range(0, len(changes), AT_ONCE):
        part = changes[start : start + AT_ONCE]
        for change, (hits, unread) in zip(part, await scanned(part, scanner), strict=True):
            decision = await rules.decide("review", asked_about(change, hits, unread))
            found.append(Judged(change, tuple(decision.deny), tuple(decision.escalate)))
    return found


async def scanned(changes: Sequence[Change], scanner: Semgrep) -> list[tuple[list[Hit], list[str]]]:
    """Return of each change what the scan found and what it could not read. Raises: UnavailableError."""
    base = {f"{n}/{was}": one.base[was] for n, one in enumerate(changes) for was, _ in one.pairs if was}
    head = {f"{n}/{now}": one.head[now] for n, one in enumerate(changes) for _, now in one.pairs if now}
    pairs = [
        (f"{n}/{was}" if was else "", f"{n}/{now}") for n, one in enumerate(changes) for was, now in one.pairs if now
    ]
    scan: Scan = await scanner.scan(base, head, pairs)
    if scan.status != "complete" or any(path.startswith("and ") for path in scan.unread):
        raise UnavailableError("scanner", f"the scan was not whole: {scan.why}", fix="see `evoguard doctor`")
    found: list[tuple[list[Hit], list[str]]] = [([], []) for _ in changes]
    for hit in scan.new:
        number, _, path = hit.path.partition("/")
        found[int(number)][0].append(replace(hit, path=path))
    for one in scan.unread:
        number, _, path = one.partition("/")
        found[int(number)][1].append(path)
    return found


def asked_about(change: Change, hits: Sequence[Hit], unread: Sequence[str]) -> Mapping[str, Any]:
    """Return the question about a change with what the scan found; the evidence in it is that of green tests."""
    rows = [_row(change, was, now) for was, now in change.pairs]
    hidden_now = _hidden(change)
    brings = inspect(change.base, change.head, rows, {"repo": "bench", "base": "b0", "head": "c1"})
    told = brings.as_json()
    listed: list[Json] = [hit.as_json() for hit in (*hits, *hidden_now)]
    asked = question(0)
    return {
        **asked, "files": rows,
        "totals": {"files": len(rows), "added": sum(row["added"] for row in rows),
                   "deleted": sum(row["deleted"] for row in rows), "omitted": 0},
        "hits": listed, "scan": {**asked["scan"], "unread": list(unread)},
        "secrets": [{"rule": rule, "path": path, "line": line} for rule, path, line in _secrets(change)],
        "inspection": {**asked["inspection"], "status": told["status"], "omitted": told["omitted"]},
        **{name: told[name] for name in ("dependencies", "faults", "weakened", "blobs", "capabilities")},
    }  # fmt: skip


def _hidden(change: Change) -> tuple[Hit, ...]:
    old = [hit for was, _ in change.pairs if was for hit in hidden(was, change.base[was].data)]
    new = [hit for _, now in change.pairs if now for hit in hidden(now, change.head[now].data)]
    before, now = ({path: blob.data for path, blob in tree.items()} for tree in (change.base, change.head))
    kept = [pair for pair in change.pairs if pair[1]]
    unseen = new_hits(old, new, {was: now for was, now in change.pairs if was})
    return (*unseen, *unusual(before, now, kept))


def _secrets(change: Change) -> list[tuple[str, str, int]]:
    return [
        one for was, now in change.pairs if now
        for one in find_secrets(now, _added(change.base.get(was), change.head[now]))
    ]  # fmt: skip


def _row(change: Change, was: str, now: str) -> dict[str, Any]:
    old, new = change.base.get(was), change.head.get(now)
    binary = b"\0" in (new or old or Blob("", b"")).data[:8_000]
    return {
        "path": now or was, "old_path": was if was and now and was != now else "",
        "status": "added" if not was else "deleted" if not now else "modified" if was == now else "renamed",
        "added": 0 if binary else len(_added(old, new)), "deleted": 0 if binary else len(_added(new, old)),
        "binary": binary, "mode_old": old.mode if old else "000000", "mode_new": new.mode if new else "000000",
        "size": len(new.data) if new else 0,
    }  # fmt: skip


def _added(old: Blob | None, new: Blob | None) -> list[tuple[int, str]]:
    """Return the lines that stand in `new` and not in `old`, with their numbers."""
    before, now = ((blob.data.decode("utf-8", "replace").split("\n") if blob else []) for blob in (old, new))
    blocks = difflib.SequenceMatcher(None, before, now, autojunk=False).get_opcodes() if before and now else []
    if not blocks:
        return list(enumerate(now, 1))
    return [(n + 1, now[n]) for kind, _, _, a, b in blocks if kind in ("insert", "replace") for n in range(a, b)]


def _unread(finding: Finding) -> bool:
    """Tell whether people are asked only because nobody here reads the file."""
    return finding.code == "change.dependency_unread"
