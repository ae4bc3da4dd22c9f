"""STEP. Say what the change touches, and which component's rules it therefore follows."""

from __future__ import annotations

from evoguard.domain.canonical import Json, canonical, digest_of
from evoguard.domain.change import Diff
from evoguard.domain.component import FILE_NAME, Component, ComponentFile, parse
from evoguard.domain.events import Event
from evoguard.domain.reach import Reach
from evoguard.domain.risk import Risk
from evoguard.domain.verdict import Finding
from evoguard.errors import InputError
from evoguard.flow import versions
from evoguard.flow.refusal import refusal
from evoguard.flow.risk import weigh
from evoguard.flow.state import FlowState, StepResult, proposal_of
from evoguard.ports import Ports


async def impact(state: FlowState, ports: Ports) -> StepResult:
    """Read diff and component file, both from git objects and the latter at the base commit only."""
    proposal = proposal_of(state)
    try:
        diff = await ports.sources.diff(proposal.repo, proposal.base, proposal.head)
        rules = parse(await ports.sources.file(proposal.repo, proposal.base, FILE_NAME))
    except InputError as err:
        return await _refusal(Finding(err.code, err.message), ports)
    component = rules.covering(diff.touched())
    if claimed := await claimed_by_another(component.flag, proposal.repo, component.name, ports):
        return await _refusal(claimed, ports)
    where = (proposal.repo, component.name, component.release_branch)
    refs = await ports.forge.refs(*where) if component.name else None
    if refs is not None and refs.tip not in ("", proposal.base) and not refs.rollout:
        text = f"the base is not the tip of {component.release_branch} ({refs.tip[:12]}); rebase onto it and resubmit"
        return await _refusal(Finding("release.base_not_tip", text, component.release_branch, refs.tip), ports)
    good = (refs.known_good if refs else "") or proposal.base
    if unversioned := await versions.doubt(proposal.repo, component, (proposal.head, good), ports):
        return await _refusal(unversioned, ports)
    first = refs is not None and not refs.tip
    reach = await ports.impact.reach(proposal.repo, proposal.base, proposal.head, diff=diff, rules=rules)
    risk = await weigh(state, diff, reach=reach, rules=rules, ports=ports)
    facts = _facts(diff, component, rules, measured=(reach, risk))
    stored = await ports.artifacts.put(canonical(facts))
    if component.name:  # without a component nothing says that two changes are about the same thing
        await _supersede(state["change"], component.name, ports)
    mapped = Event(
        "change.mapped",
        {"component": component.name, "flag": component.flag, "files": len(diff.files) + diff.omitted,
         "added": diff.added, "deleted": diff.deleted, "impact": stored,
         "first_release": first, "risk": risk.value, "dependants": len(reach.dependants),
         "unknown": len(reach.unknown)},
    )  # fmt: skip
    return StepResult(
        {
            "component": component.name,
            "flag": component.flag,
            "branch": component.release_branch,
            "plan": digest_of(component.as_json()),
            "impact": stored,
            "first": first,
        },
        (mapped,),
    )


def _facts(diff: Diff, component: Component, rules: ComponentFile, *, measured: tuple[Reach, Risk]) -> dict[str, Json]:
    """Return what is kept of a change by digest: everything after this step reads it, nobody the repository again."""
    reach, risk = measured
    return {
        "files": [f.as_json() for f in diff.files],
        "totals": {"files": len(diff.files) + diff.omitted, "added": diff.added, "deleted": diff.deleted,
                   "omitted": diff.omitted},
        "secrets": [{"rule": rule, "path": path, "line": line} for rule, path, line in diff.secrets],
        "component": component.as_json(),
        "tighten": rules.tighten(),
        "quarantine": [entry.as_json() for entry in rules.quarantine],
        "cases": [one.as_json() for one in rules.cases()],
        "owners": [{"path": path, "names": list(names)} for path, names in reach.owner_groups],
        "people": {name: list(people) for name, people in rules.owners.items()},
        "reach": reach.as_json(), "risk": risk.as_json(),
        **({"rules": rules.rules.as_json()} if rules.rules else {}),
    }  # fmt: skip


async def claimed_by_another(flag: str, repo: str, component: str, ports: Ports) -> Finding | None:
    """Return the finding about a flag that another repository or component has released under, or None."""
    owner = await ports.lanes.owner(flag, repo, component)
    text = f"the flag {flag} belongs to what {owner} released; name another in {FILE_NAME}"
    return Finding("flag.claimed", text, FILE_NAME, flag) if owner else None


async def _refusal(finding: Finding, ports: Ports) -> StepResult:
    return StepResult(await refusal("impact", [finding], ports))


async def _supersede(change: str, component: str, ports: Ports) -> None:
    """A new head of the same author on the same base ends the older one; told by message, each change ends itself."""
    for earlier in await ports.lanes.earlier(change, component):
        await ports.inbox.put(earlier, "supersede", change, key=f"supersede/{earlier}/{change}")
