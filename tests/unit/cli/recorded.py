"""Decisions that real rules made, stored as the flow stores them, and bundles of the same rules with other numbers."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

from contract.policies_suite import a_question
from evoguard import bundle
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain.canonical import canonical, digest_of
from evoguard.domain.events import Event
from evoguard.domain.verdict import PolicyStage
from unit.cli.installed import Installed

SHIPPED = Path(bundle.__file__).parent
GOOD, WIDE, HELD = "ch-000000000001", "ch-000000000002", "ch-000000000003"
MANY = [{**a_question()["files"][0], "path": f"lending/f{n}.py"} for n in range(20)]
EVENT = {"review": "change.judged", "admit": "change.admitted"}
MANY_TOTALS = {"files": 20, "added": 60, "deleted": 20, "omitted": 0}
EXEMPT = {
    "id": "EX-1", "code": "change.unbounded", "scope": {"repo": "lending", "component": "", "path": ""},
    "reason": "one large move", "owner": "ada", "approved_by": ["ada", "bob"], "until": "2026-10-01",
}  # fmt: skip


def edited(folder: Path, parts: dict[str, object] | None = None, **limits: int) -> Path:
    """Make a bundle of the shipped rules with other numbers and other `parts` of data; nothing of it needs OPA."""
    shutil.copytree(SHIPPED, folder, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    data = json.loads((folder / bundle.DATA).read_bytes())
    data["limits"] |= limits
    data |= parts or {}
    (folder / bundle.DATA).write_bytes(canonical(data))
    doc = json.loads((folder / bundle.MANIFEST).read_bytes())
    doc["data"] = digest_of(canonical(data))
    doc["digest"] = bundle.identity(doc)
    (folder / bundle.MANIFEST).write_text(json.dumps(doc))
    return folder


def decided(
    installed: Installed,
    rules: OpaWasmPolicies,
    change: str,
    *,
    at: int = 0,
    stage: PolicyStage = "review",
    **question: object,
) -> bool:
    """Have the shipped rules decide on a change, and store it as the flow does."""
    asked = a_question(stage, **question)
    answer = asyncio.run(rules.decide(stage, asked))
    stored = installed.put({"question": asked, "decision": answer.as_json(), "bundle": rules.digest})
    installed.submitted(change)
    installed.append(
        Event(EVENT[stage], {"allow": answer.allow, "quorum": 1, "decision": stored, "bundle": rules.digest}),
        change=change,
        now_ms=at or 1_800_000_000_000,
    )
    return answer.allow
