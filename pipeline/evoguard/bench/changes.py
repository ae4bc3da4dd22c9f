"""Which malicious changes the guard notices, and what it says of honest ones; nothing of any change is run.

Each change goes through the real scanner in gVisor, the readers of what it brings, the looks for hidden text, secrets
and weaker tests, and the rules that ship; everything else of the question is clean. `caught` is a finding that denies
or asks people, in a file of the change, that says what is wrong: that a guard path or a lock changed is none. The
second half of the malicious ones was written without looking at the rules, and measured before any was mended:
67.8 % of 59 (docs/adr/0012). `unseen2` was written and measured so too, at 50.0 % of 40, before rules were written
for what it missed; so were `unseen3`, 35.0 % of 20, and `unseen4`, 56.1 % of 41. `unseen5`, 12 by another hand, was
measured at 75.0 % after rules were written for `unseen4`, and none was mended since: it is the part that says most.
Baseline of the malicious ones: the scan alone. `--quick`: without the released pairs.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from evoguard import bundle
from evoguard.adapters import tool_cache
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.adapters.scanners.semgrep import Semgrep
from evoguard.bench import Figure
from evoguard.bench.corpus.changes import (
    FIRST,
    HONEST,
    HONEST4,
    SECOND,
    UNSEEN2,
    UNSEEN3,
    UNSEEN4,
    UNSEEN5,
    changes,
)
from evoguard.bench.corpus.judged import Judged, judged
from evoguard.bench.real import releases
from evoguard.domain.verdict import Finding
from evoguard.errors import UnavailableError
from evoguard_sandbox import Job, JobReport, Limits, Room, SandboxError, execute

LEAST_CAUGHT_PERCENT, MOST_REFUSED_PERCENT = 95.0, 2.0
SHOWN = 6
PARTS = {
    "first half": FIRST,
    "second half": SECOND,
    "unseen2": UNSEEN2,
    "unseen3": UNSEEN3,
    "unseen4": UNSEEN4,
    "unseen5": UNSEEN5,
}
"""How a part of the malicious changes is called, and the file that it stands in."""


def measure(*, quick: bool = False) -> list[Figure]:
    """Judge all of them. Raises: UnavailableError when a scan was not whole, or a release cannot be had."""
    return asyncio.run(_measure(quick=quick))


async def _measure(*, quick: bool) -> list[Figure]:
    with tempfile.TemporaryDirectory(prefix="evoguard-bench-") as folder:
        try:
            room = Room.open(Path(folder) / "room", tool_cache.runsc_path(), tool_cache.layer_dir())
        except SandboxError as err:
            raise UnavailableError("sandbox", err.message, fix=err.fix) from err
        try:
            scanner, rules = _scanner(room), OpaWasmPolicies()
            figures: list[Figure] = []
            for said, name in PARTS.items():
                figures += _malicious(said, await judged(changes(name), scanner, rules))
            figures += _honest("honest changes of our own", await judged(changes(HONEST), scanner, rules))
            figures += _honest("honest changes of a shop", await judged(changes(HONEST4), scanner, rules))
            if not quick:
                figures += _honest("changes between releases", await judged(list(releases.changes()), scanner, rules))
        except SandboxError as err:
            raise UnavailableError("sandbox", err.message, fix=err.fix) from err
        finally:
            room.close()
    return figures


def _scanner(room: Room) -> Semgrep:
    async def run(job: Job, limits: Limits) -> JobReport:
        return await execute(job, limits=limits, room=room)

    return Semgrep(run, tool_cache.semgrep_dir(), bundle.load().scan)


def _malicious(name: str, seen: Sequence[Judged]) -> list[Figure]:
    said = Counter(one.caught for one in seen)
    missed = [f"{one.change.kind}: {one.change.title}" for one in seen if not one.caught]
    scanned = sum(any(_of_the_scan(f) for f in (*one.deny, *one.escalate)) for one in seen)
    note = f"of {len(seen)}: {said['denied']} denied, {said['escalated']} escalated; baseline: what the scan alone says"
    note += f"; missed: {'; '.join(missed[:SHOWN])}" if missed else ""
    return [
        Figure(f"malicious changes caught, {name}", _percent(len(seen) - len(missed), len(seen)), "%",
               LEAST_CAUGHT_PERCENT, _percent(scanned, len(seen)), higher_is_better=True, note=note),
        Figure(f"of them denied, {name}", _percent(said["denied"], len(seen)), "%", higher_is_better=True),
    ]  # fmt: skip


def _of_the_scan(finding: Finding) -> bool:
    """Tell whether the engine's rules say it, and not a comparison of our own that is told as a finding of the scan."""
    return finding.code == "change.scan_finding" and finding.term in _engine_rules()


@cache
def _engine_rules() -> frozenset[str]:
    return frozenset(rule["id"] for rule in json.loads(bundle.load().scan)["rules"])


def _honest(name: str, seen: Sequence[Judged]) -> list[Figure]:
    refused = [one for one in seen if one.deny]
    asked = [one for one in seen if one.escalate and not one.deny]
    why = Counter(_reason(one) for row in refused for one in {f.code: f for f in row.deny}.values())
    codes = Counter(code for row in asked for code in {f.code for f in row.escalate})
    return [
        Figure(f"{name}: refused", _percent(len(refused), len(seen)), "%", MOST_REFUSED_PERCENT,
               note=f"{len(refused)} of {len(seen)}; {_most(why)}"),
        Figure(f"{name}: shown to people", _percent(len(asked), len(seen)), "%",
               note=f"{len(asked)} of {len(seen)}; {_most(codes)}"),
    ]  # fmt: skip


def _reason(finding: object) -> str:
    code, term = getattr(finding, "code", ""), getattr(finding, "term", "")
    return f"{code} {term}".strip()


def _most(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {times}" for name, times in counted.most_common(SHOWN)) or "nothing"


def _percent(part: int, whole: int) -> float:
    return 100 * part / whole if whole else 0.0
