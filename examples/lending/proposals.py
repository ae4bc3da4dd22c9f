"""What the scripted coder proposes in the demo: two good changes and four kinds of trouble.

    python examples/lending/proposals.py history ORIGIN
    python examples/lending/proposals.py propose ORIGIN NAME [--base COMMIT|BRANCH] [--source REPOSITORY]

Both print one JSON line. The texts are in `scripts.py`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import scripts
from history import BORN, DAY_S, make_history

from evoguard_agents.coders.scripted import Identity, Script, ScriptedCoder, Written


@dataclass(frozen=True, slots=True)
class Proposal:
    """One proposal: who, for which component ("" for none), with which intent, and what is written."""

    name: str
    agent: str
    component: str
    intent: str
    script: Script

    @property
    def branch(self) -> str:
        """Return the branch it is written to."""
        return f"agent/{self.name}"


def _proposal(name: str, agent: str, component: str, intent: str, edits: scripts.Edits) -> Proposal:
    return Proposal(name, agent, component, intent, Script(intent, edits))


PROPOSALS: dict[str, Proposal] = {
    p.name: p
    for p in (
        _proposal("p1", "agent-scorer", "scoring", "Let the profit margin count", scripts.MARGIN),
        _proposal("p2", "agent-pricer", "pricing", "Price the risk of the sector", scripts.SECTOR_PRICE),
        _proposal("p3a", "agent-hasty", "", "Accept more applicants", scripts.GREEN_CONFTEST),
        _proposal("p3b", "agent-hasty", "scoring", "Accept more applicants, simply", scripts.GREEN_EXIT),
        _proposal("p4a", "agent-curious", "scoring", "Report usage to the vendor", scripts.PHONE_HOME),
        _proposal("p4b", "agent-curious", "", "Tidy the policies", scripts.OPEN_POLICY),
        _proposal("p5", "agent-smooth", "scoring", "Score the risk of the sector", scripts.HIDDEN_ERRORS),
        _proposal("p6", "agent-steady", "pricing", "Reward old businesses", scripts.AGE_DISCOUNT),
    )
}
BESIDE: dict[str, Proposal] = {
    p.name: p
    for p in (
        _proposal("letters-brief", "agent-writer", "letters", "Write shorter letters", scripts.BRIEF_MODEL),
        _proposal("letters-polite", "agent-writer", "letters", "Thank applicants more", scripts.POLITE_PROMPT),
    )
}
"""Proposals of versions that are no commits; the demo does not run them."""
ALL = {**PROPOSALS, **BESIDE}


async def propose(origin: Path, name: str, *, base: str = "main", source: Path | None = None) -> Written:
    """Write proposal `name` on top of `base` and push it to `origin` as branch `agent/<name>`.

    `base` is a branch of the origin or a commit id; `source` is where to fetch it when the origin does not have it.
    Raises: KeyError for an unknown name, ValueError when the base is not code that the edit fits, and as
    `ScriptedCoder.write`.
    """
    proposal = ALL[name]
    number = list(ALL).index(name)
    coder = ScriptedCoder(
        Identity(proposal.agent, f"{proposal.agent}@lending.example"), at=BORN + 10 * DAY_S + number * 3600
    )
    return await coder.write(proposal.script, origin=origin, branch=proposal.branch, base=base, source=source)


def main() -> None:
    """Parse, call, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    history = verbs.add_parser("history", help="create the bare repository ORIGIN with branch main")
    history.add_argument("origin", type=Path)
    write = verbs.add_parser("propose", help="write a proposal's branch")
    write.add_argument("origin", type=Path)
    write.add_argument("name", choices=list(ALL))
    write.add_argument("--base", default="main")
    write.add_argument("--source", type=Path)
    options = parser.parse_args()
    if options.verb == "history":
        print(json.dumps({"branch": "main", "head": make_history(options.origin)}))
        return
    written = asyncio.run(propose(options.origin.resolve(), options.name, base=options.base, source=options.source))
    print(json.dumps(asdict(written)))


if __name__ == "__main__":
    main()
