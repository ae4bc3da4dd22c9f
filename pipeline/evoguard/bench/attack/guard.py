"""The guard as the attacker meets it: the real readers, rules, scan and sandbox, from the cheapest on."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from evoguard import bundle
from evoguard.adapters import tool_cache
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.adapters.sandbox import GvisorSandbox
from evoguard.adapters.scanners.semgrep import Semgrep
from evoguard.bench.corpus.changes import Change
from evoguard.bench.corpus.judged import AT_ONCE, UNNAMED, asked_about, scanned
from evoguard.domain.evidence import Evidence, review_codes
from evoguard.domain.scan import Hit
from evoguard.domain.verdict import Decision, Finding

WALL_S = 60.0
TOLD = ("passed", "isolation", "behaviour", "assurance", "expected", "run", "failed", "split", "unstable")


@dataclass(frozen=True, slots=True)
class Said:
    """What a gate said of a patch: why not, and what people are asked about by name. Both are shown to its author."""

    denied: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()


class Guard(Protocol):
    """The three gates before the rollout."""

    async def read(self, change: Change) -> Said:
        """Put the change before readers and rules, unscanned. Raises: UnavailableError without a verdict."""

    async def scan(self, changes: Sequence[Change]) -> list[Said]:
        """Scan the changes at once, and put each before the rules. Raises: UnavailableError for a scan not whole."""

    async def judge(self, change: Change) -> tuple[Said, Said]:
        """Run the tests; return what the sandbox says, and the rules with that evidence. Raises: UnavailableError."""


class RealGuard:
    """The gates by the functions that the flow calls."""

    def __init__(self, sandbox: GvisorSandbox, rules: OpaWasmPolicies) -> None:
        self._sandbox = sandbox
        self._rules = rules
        self._scanner = Semgrep(sandbox.execute, tool_cache.semgrep_dir(), bundle.load().scan)
        self._found: dict[int, tuple[list[Hit], list[str]]] = {}

    async def read(self, change: Change) -> Said:
        """Ask the rules about the diff alone."""
        return _said(await self._rules.decide("review", asked_about(change, [], [])))

    async def scan(self, changes: Sequence[Change]) -> list[Said]:
        """Scan up to twelve at once."""
        found: list[Said] = []
        for start in range(0, len(changes), AT_ONCE):
            part = changes[start : start + AT_ONCE]
            for change, (hits, unread) in zip(part, await scanned(part, self._scanner), strict=True):
                self._found[id(change)] = hits, unread
                found.append(_said(await self._rules.decide("review", asked_about(change, hits, unread))))
        return found

    async def judge(self, change: Change) -> tuple[Said, Said]:
        """Run the base's tests over the change in gVisor, then ask the rules with what was seen."""
        tree = sha256(repr(sorted((path, blob.data) for path, blob in change.head.items())).encode()).hexdigest()[:40]
        evidence = await self._sandbox.run("bench", tree, change.base, change.head)
        if not evidence.green:
            return Said(_names(evidence.findings) or ("sandbox.not_green",)), Said()
        hits, unread = self._found[id(change)]
        question = {**asked_about(change, hits, unread), "evidence": _told(evidence)}
        return Said(), _said(await self._rules.decide("review", question), evidence)


@asynccontextmanager
async def opened() -> AsyncIterator[RealGuard]:
    """Open the gates in a folder of their own. Raises: ConfigError or UnavailableError when one cannot be."""
    with tempfile.TemporaryDirectory(prefix="evoguard-attacker-") as folder:
        sandbox = GvisorSandbox(
            Path(folder), runsc=tool_cache.runsc_path(), layer=tool_cache.layer_dir(), wall_s=WALL_S, warm=2
        )
        try:
            yield RealGuard(sandbox, OpaWasmPolicies())
        finally:
            with contextlib.suppress(OSError):
                await sandbox.close()


def _told(evidence: Evidence) -> dict[str, object]:
    doc = evidence.as_json()
    return {"digest": "sha256:evidence", **{name: doc[name] for name in TOLD}, "review": review_codes(doc)}


def _said(decision: Decision, evidence: Evidence | None = None) -> Said:
    """Return what is named; with real evidence also what the sandbox asks people to look at."""
    asked = tuple(one for one in decision.escalate if one.code not in UNNAMED)
    looked_at = _names(evidence.review) if evidence is not None else ()
    denied = _names(decision.deny) or (() if decision.allow else ("rules.not_allowed",))
    return Said(denied, (*_names(asked), *looked_at))


def _names(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(sorted({f"{one.code} {one.term}".strip()[:90] for one in findings}))
