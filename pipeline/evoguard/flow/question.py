"""The question that policies judge: everything that is known about a change, in one bounded document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evoguard.domain.approval import Approval
from evoguard.domain.canonical import Digest, Json, canonical
from evoguard.domain.change import Author, CommitId
from evoguard.domain.events import StoredEvent
from evoguard.domain.evidence import review_codes
from evoguard.domain.identity import models_of, sponsors_of
from evoguard.domain.owners import asked
from evoguard.domain.regression import NONE
from evoguard.domain.regression import NOT_RUN as NOT_REPLAYED
from evoguard.domain.repository_rules import RepositoryVerdict, named_rules
from evoguard.domain.risk import raised, risk_from, weights_from
from evoguard.domain.scan import NOT_RUN
from evoguard.domain.verdict import Decision, PolicyStage
from evoguard.errors import UnavailableError
from evoguard.flow.facts import load, rows
from evoguard.flow.prior import prior_of
from evoguard.flow.state import FlowState, proposal_of
from evoguard.ports import Ports
from evoguard.supply.inspection import NOT_INSPECTED

_BROUGHT = ("dependencies", "faults", "vulnerable", "advisories", "weakened", "blobs", "capabilities", "sbom")


async def ask(
    stage: PolicyStage, state: FlowState, ports: Ports, *, approvals: Sequence[Approval] = ()
) -> tuple[Decision, Digest]:
    """Ask the policies and store question and answer together, so that the decision can be made again later.

    Under rules of people's own, the constitution that ships is asked as well and holds over them (docs/adr/0007); the
    repository's own rules, where its base names any, can only add refusals (docs/adr/0011).
    Raises: UnavailableError when there is no verdict.
    """
    question = await _question(stage, state, ports, approvals)
    decision = await ports.policies.decide(stage, question)
    floor = await ports.policies.floor(stage, question)
    own = await _repositorys(stage, state, ports, question)
    record: dict[str, Json] = {
        "question": question, "decision": decision.as_json(), "bundle": ports.policies.digest,
        **({"floor": floor.as_json()} if floor is not None else {}),
        **({"repository": own.as_json()} if own is not None else {}),
    }  # fmt: skip
    stored = await ports.artifacts.put(canonical(record))
    held = floor.under(decision) if floor is not None else decision
    return own.over(held) if own is not None else held, stored


async def _repositorys(
    stage: PolicyStage, state: FlowState, ports: Ports, question: Mapping[str, Json]
) -> RepositoryVerdict | None:
    """Return what the rules that the base commit names say; None when it names none. Raises: UnavailableError."""
    named = named_rules((await load(ports, state["impact"])).get("rules"))
    if named is None:
        return None
    if ports.repository_rules is None:
        return RepositoryVerdict(named)
    return await ports.repository_rules.ask(state["repo"], CommitId(state["base"]), named, stage, question)


def _names(*kpis: Json) -> list[Json]:
    return [*sorted({name for some in kpis if isinstance(some, Mapping) for name in some})]


async def _question(
    stage: PolicyStage, state: FlowState, ports: Ports, approvals: Sequence[Approval]
) -> Mapping[str, Json]:
    proposal = proposal_of(state)
    impact = await load(ports, state["impact"])
    evidence = await load(ports, state["evidence"])
    scan = await load(ports, state["scan"]) if "scan" in state else NOT_RUN
    brings = await load(ports, state["inspection"]) if "inspection" in state else NOT_INSPECTED
    component = impact["component"]
    assert isinstance(component, Mapping)  # noqa: S101  (our own document, proved by digest)
    kpis, values = component["kpis"], component.get("values")
    registry = await ports.queries.events("registry")
    return {
        "v": 1,
        "stage": stage,
        "now": ports.clock.now_ms() // 1000,
        "change": {
            "id": state["change"], "repo": proposal.repo, "base": proposal.base, "head": proposal.head,
            "tree": proposal.tree, "intent": proposal.intent, "component": state["component"],
        },
        "files": impact["files"],
        "totals": impact["totals"],
        "secrets": impact["secrets"],
        "scan": {"digest": state.get("scan", ""), **{k: scan[k] for k in ("status", "omitted", "unread")}},
        "hits": scan["new"],
        "inspection": {"digest": state.get("inspection", ""), **{k: brings[k] for k in ("status", "omitted")}},
        # An inspection that was stored before a field was known lacks it: the rules deny it by name.
        **{k: brings[k] for k in _BROUGHT if k in brings},
        "regression": await _regression(state, impact, ports),
        "tighten": _with_defaults(impact["tighten"]),
        "quarantine": impact.get("quarantine", []),
        "impact": _impact(impact, ports.policies.data),
        "author": await _author(proposal.author, registry, ports),
        "owners": _owners(impact, ports.policies.data),
        "prior": await prior_of(state, impact, ports),
        "component": {
            "name": component["name"], "flag": component["flag"], "quorum": component["quorum"],
            "stages": component["stages"], "kpis": _names(kpis, values),
        },
        "evidence": {
            "digest": state["evidence"],
            **{k: evidence[k] for k in ("passed", "isolation", "behaviour", "assurance", "expected", "run", "failed")},
            # Evidence that was stored before these were told has none of them.
            "split": evidence.get("split", 0), "unstable": evidence.get("unstable", []),
            "review": review_codes(evidence),
        },
        "approvals": as_told(approvals, registry),
        "approval_digest": state.get("approval", ""),
        "policy": {"bundle": ports.policies.digest, "reviewed_bundle": state.get("bundle", "")},
    }  # fmt: skip


async def _regression(state: FlowState, impact: Mapping[str, Json], ports: Ports) -> Json:
    """Return what the declared requests showed; facts that were stored before requests could be declared name none."""
    digest, cases = state.get("regression", ""), impact.get("cases", [])
    doc = await load(ports, digest) if digest else NOT_REPLAYED if cases else NONE
    listed = len(cases) if isinstance(cases, list) else 1
    return {
        "digest": digest, "declared": listed,
        **{name: doc[name] for name in ("status", "asked", "answered", "omitted", "findings")},
    }  # fmt: skip


def as_told(approvals: Sequence[Approval], registry: Sequence[StoredEvent]) -> list[Json]:
    """Return votes as the policies are told of them, with the model that an agent was registered with."""
    models = models_of(registry)
    return [{**vote.as_json(), "model": models.get(vote.by, "")} for vote in approvals]


async def _author(author: Author, registry: Sequence[StoredEvent], ports: Ports) -> Json:
    return {
        "id": author.id, "kind": author.kind, "held": bool(await ports.queries.held(author.id)),
        "sponsors": [*sponsors_of(registry, author.id)], "model": models_of(registry).get(author.id, ""),
    }  # fmt: skip


async def apart(author: Author, ports: Ports) -> frozenset[str]:
    """Return whose approval does not count: the people behind an agent, unless the rules' data says that it does."""
    said = ports.policies.data.get("approval")
    if isinstance(said, Mapping) and said.get("sponsors_count") is True:
        return frozenset()
    return frozenset(sponsors_of(await ports.queries.events("registry"), author.id))


async def seats(state: FlowState, ports: Ports) -> int:
    """Return how many agents must review the change: the most of what the rules' data and the component file say."""
    asked = (ports.policies.data.get("approval"), (await load(ports, state["impact"])).get("tighten"))
    said = [table.get("seats") for table in asked if isinstance(table, Mapping)]
    return max((n for n in said if isinstance(n, int) and not isinstance(n, bool)), default=0)


def _owners(impact: Mapping[str, Json], data: Mapping[str, Json]) -> Json:
    """Return each set of owners of what is touched; a team as its people, where the base says and the bundle does not.

    Older facts name the owners of each path; of facts from before owners were looked for, nobody is the owner.
    """
    each = _table(_table(impact.get("reach")).get("owners"))
    if "reach" not in impact:
        return [{"path": "", "names": ["(not measured)"]}]
    older: Json = [{"path": path, "names": names} for path, names in each.items()]
    above = _table(_table(data.get("approval")).get("owners"))
    people = {name: listed for name, listed in _table(impact.get("people")).items() if name not in above}
    return [asked(_table(row), people) for row in _rows(impact.get("owners", older))]


def _table(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, Mapping) else {}


def _rows(value: Json) -> Sequence[Json]:
    return value if isinstance(value, list) else []


def _with_defaults(tighten: Json) -> Json:
    """Return what the component file asks for; facts that were stored before these were known lack them."""
    return {"split_percent": 0, "seats": 0, **tighten} if isinstance(tighten, Mapping) else tighten


def _impact(facts: Mapping[str, Json], data: Mapping[str, Json]) -> dict[str, Json]:
    """Return what was measured of a change, under the weights of now where they are heavier.

    Facts from before risk was measured are of the highest. Raises: UnavailableError for weights that cannot be read.
    """
    reach, paths = facts.get("reach"), [str(row["path"]) for row in rows(facts["files"])]
    try:
        risk = raised(risk_from(facts.get("risk")), weights_from(data), paths)
    except ValueError as err:
        raise UnavailableError("policies", str(err), fix="put rules in force that hold `risk`") from err
    counts, unknown = (reach.get(name) if isinstance(reach, Mapping) else None for name in ("counts", "unknown"))
    counted = counts if isinstance(counts, Mapping) else {"dependants": 0, "tests": 0, "unknown": 1}
    names: list[Json] = [*sorted(unknown)] if isinstance(unknown, Mapping) else ["(not measured)"]
    asked = risk.as_json()
    return {
        **{name: asked[name] for name in ("floor", "risk", "features")},
        **{name: counted.get(name) for name in ("dependants", "tests")},
        "known": counted.get("unknown") == 0, "unknown": names,
        "components": reach.get("components") if isinstance(reach, Mapping) else [],
    }  # fmt: skip
