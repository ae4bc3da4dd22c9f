"""What the guard needs from outside, one role a file; `Ports` bundles them for a run."""

from __future__ import annotations

from dataclasses import dataclass, field

from evoguard.ports.advisories import Advisories, NoAdvisories
from evoguard.ports.artifacts import Artifacts
from evoguard.ports.authors import Authors
from evoguard.ports.clients import Clients, NoClients
from evoguard.ports.clock import Clock
from evoguard.ports.effects import Effects
from evoguard.ports.flags import Flags
from evoguard.ports.forge import Forge, Sources
from evoguard.ports.impact import Impact
from evoguard.ports.inbox import Inbox
from evoguard.ports.kill_path import KillPath
from evoguard.ports.kpis import Kpis
from evoguard.ports.lanes import Lanes
from evoguard.ports.latches import Latches
from evoguard.ports.policies import Policies
from evoguard.ports.prior import Prior
from evoguard.ports.queries import Queries
from evoguard.ports.replay import NoReplay, Replay
from evoguard.ports.repository_rules import RepositoryRules
from evoguard.ports.sandbox import Sandbox
from evoguard.ports.scanner import Scanner
from evoguard.ports.signer import Signer
from evoguard.ports.versions import NoVersions, VersionStore
from evoguard.ports.way_back import WaysBack


@dataclass(frozen=True, slots=True)
class Pace:
    """How a rollout breathes. All times in seconds; exposures in units."""

    lease_s: int = 30
    dwell_s: int = 5
    """Least time a stage lasts, however good the evidence looks."""
    disaster_exposures: int = 300
    """Units (both arms) after which a stage below `evidence_from_percent` may end without an abort."""
    evidence_from_percent: int = 10
    tick_s: float = 0.5
    silent_s: int = 60
    """A rollout without any KPI batch for this long is reverted: silent data holds, then goes down."""


@dataclass(frozen=True, slots=True)
class Ports:
    """The assembled parts one run may use; handed to the flow as LangGraph's run context."""

    artifacts: Artifacts
    authors: Authors
    clock: Clock
    effects: Effects
    flags: Flags
    forge: Forge
    sources: Sources
    impact: Impact
    inbox: Inbox
    kill_path: KillPath
    kpis: Kpis
    lanes: Lanes
    latches: Latches
    policies: Policies
    prior: Prior
    queries: Queries
    sandbox: Sandbox
    scanner: Scanner
    signer: Signer
    ways_back: WaysBack
    pace: Pace
    advisories: Advisories = field(default_factory=NoAdvisories)
    clients: Clients = field(default_factory=NoClients)
    versions: VersionStore = field(default_factory=NoVersions)
    verifier: str = "evoguard:local"
    """The id that attestations carry; a stranger checks it."""
    repository_rules: RepositoryRules | None = None
    """None: where a repository names rules of its own, nothing goes on."""
    replay: Replay = field(default_factory=NoReplay)
    held_out_a_day: int = 20
    """Submissions of one author to one repository in 24 hours that are judged by held-out tests; each tells one bit."""
