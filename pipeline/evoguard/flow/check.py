"""STEP. Scan the change, run the candidate's tests, both in the sandbox; what was seen becomes events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from evoguard.domain.canonical import Digest, Json, canonical
from evoguard.domain.change import Proposal
from evoguard.domain.events import Event
from evoguard.domain.headline import headline
from evoguard.domain.scan import Hit, new_hits
from evoguard.domain.text import hidden
from evoguard.domain.verdict import Finding, findings_json
from evoguard.flow.facts import load
from evoguard.flow.inspect import inspect
from evoguard.flow.refusal import refusal
from evoguard.flow.regress import regress
from evoguard.flow.state import FlowState, StepResult, proposal_of
from evoguard.looks.unusual import unusual
from evoguard.ports import Ports
from evoguard.ports.forge import Blob

SHOWN_FINDINGS = 50
DAY_MS = 24 * 3_600_000


async def check(state: FlowState, ports: Ports) -> StepResult:
    """Run once; red is an answer, no isolated run is an error that leaves the gate shut."""
    proposal = proposal_of(state)
    again = "approval" in state  # other rules came into force: it is no submission, and tells its author nothing new
    if not again and (over := await _over_budget(proposal, ports)):
        return StepResult({"passed": False, **await refusal("check", [over], ports)}, ())
    base = await ports.sources.files(proposal.repo, proposal.base)
    candidate = await ports.sources.files(proposal.repo, proposal.head)
    impact = await load(ports, state["impact"])
    scan, scanned = await _scan(impact, base, candidate, ports)
    brings, inspected = await inspect(proposal, impact.get("files"), base, candidate, ports)
    component = impact.get("component")
    lock = str(component.get("lock", "")) if isinstance(component, Mapping) else ""
    evidence = await ports.sandbox.run(proposal.repo, proposal.tree, base, candidate, lock)
    stored = await ports.artifacts.put(canonical(evidence.as_json()))
    passed = evidence.green and evidence.tree == proposal.tree
    seen = Event(
        "candidate.checked",
        {"evidence": stored, "passed": passed, "expected": evidence.expected, "run": evidence.run,
         "failed": evidence.failed, "isolation": evidence.isolation, "behaviour": evidence.behaviour,
         "verdict": evidence.verdict, "assurance": evidence.assurance, "split": evidence.split,
         "held_out": ports.sandbox.held_out(proposal.repo), "unstable": len(evidence.unstable),
         "review": list(evidence.review_codes),
         "findings": findings_json(evidence.findings[:SHOWN_FINDINGS])},
        reason=headline([finding.as_json() for finding in evidence.findings]),
    )  # fmt: skip
    facts: dict[str, str | int | bool] = {"passed": passed, "evidence": stored, "scan": scan, "inspection": brings}
    if not passed:
        facts |= await refusal("check", evidence.findings[:SHOWN_FINDINGS], ports)
        return StepResult(facts, (scanned, inspected, seen))
    if not impact.get("cases"):
        return StepResult(facts, (scanned, inspected, seen))
    facts["regression"], replayed = await regress(impact, base, candidate, lock, ports)
    return StepResult(facts, (scanned, inspected, seen, replayed))


async def _scan(
    impact: Mapping[str, Json], base: Mapping[str, Blob], candidate: Mapping[str, Blob], ports: Ports
) -> tuple[Digest, Event]:
    """Scan what the change adds; whether that is a no is the policies' word."""
    changed = _changed(impact.get("files"))
    scan = await ports.scanner.scan(base, candidate, changed)
    scan = replace(scan, new=(*scan.new, *await asyncio.to_thread(_hidden, base, candidate, changed)))
    stored = await ports.artifacts.put(canonical(scan.as_json()))
    said = [Finding(hit.rule, f"{hit.path}:{hit.line}: {hit.msg}") for hit in scan.new]
    return stored, Event(
        "candidate.scanned",
        {"scan": stored, "status": scan.status, "tool": scan.tool, "rules": scan.rules, "asked": scan.asked,
         "read": scan.read, "new": len(scan.new), "known": scan.known},
        reason=scan.why or headline([finding.as_json() for finding in said]),
    )  # fmt: skip


def _hidden(
    base: Mapping[str, Blob], candidate: Mapping[str, Blob], changed: Sequence[tuple[str, str]]
) -> tuple[Hit, ...]:
    """Return what the changed files hide from their readers and did not hide at the base."""
    old = [hit for path, _ in changed if path in base for hit in hidden(path, base[path].data)]
    new = [hit for _, path in changed if path in candidate for hit in hidden(path, candidate[path].data)]
    texts, texts_now = ({path: blob.data for path, blob in tree.items()} for tree in (base, candidate))
    unseen = new_hits(old, new, {before: now for before, now in changed if before})
    return (*unseen, *unusual(texts, texts_now, changed))


def _changed(files: Json) -> list[tuple[str, str]]:
    """Return (path at the base or empty, path now) of every file that is still there."""
    rows = [row for row in files if isinstance(row, Mapping)] if isinstance(files, list) else []
    return [
        ("" if row["status"] == "added" else str(row["old_path"] or row["path"]), str(row["path"]))
        for row in rows
        if row["status"] != "deleted"
    ]


async def _over_budget(proposal: Proposal, ports: Ports) -> Finding | None:
    """Held-out tests tell an author one bit a submission: bound how many, or they could be learnt bit by bit."""
    if not ports.sandbox.held_out(proposal.repo):
        return None
    since = ports.clock.now_ms() - DAY_MS
    count = await ports.lanes.submitted(proposal.author.id, proposal.repo, since)
    if count <= ports.held_out_a_day:
        return None
    return Finding(
        "tests.held_out_budget",
        f"{count} submissions in 24 hours; {ports.held_out_a_day} are judged by held-out tests. Try again tomorrow",
    )
