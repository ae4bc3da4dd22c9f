"""A change's story: every step, who, why, what was seen, under which digest."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from evoguard.domain.approval import newest_request
from evoguard.domain.canonical import Json, as_digest
from evoguard.domain.events import StoredEvent
from evoguard.errors import EvoguardError
from evoguard.views.changes import found, from_row
from evoguard.views.reader import Doc, Reader, moment

STEP: Mapping[str, str] = {
    "change.submitted": "intake",
    "change.mapped": "impact",
    "candidate.scanned": "check",
    "candidate.inspected": "check",
    "candidate.replayed": "check",
    "candidate.checked": "check",
    "change.judged": "judge",
    "approval.requested": "approve",
    "approval.recorded": "approve",
    "approval.ignored": "approve",
    "approval.incomplete": "approve",
    "change.approved": "approve",
    "change.rejected": "approve",
    "change.admitted": "sign",
    "change.attested": "sign",
    "release.published": "release",
    "rollout.queued": "release",
    "rollout.opened": "watch",
    "rollout.widened": "watch",
    "rollout.held": "watch",
    "rollout.completed": "watch",
    "rollout.aborted": "watch",
    "release.reverted": "revert",
    "version.not_pinned": "revert",
    "revert.conflicted": "revert",
    "author.held": "revert",
    "change.reverted": "revert",
    "change.killed": "kill",
    "change.refused": "refuse",
    "change.withdrawn": "end",
    "change.superseded": "end",
    "change.known_good": "known-good",
}
_FINDINGS = ("findings", "deny", "notes")
_HIDDEN = frozenset({"envelope", "nonce", "intent", "public_pem", *_FINDINGS})
SHOWN_TESTS = 50


async def story(reader: Reader, change: str) -> Doc:
    """Return a change's whole story. What cannot be read says so. Raises: InputError, IntegrityError."""
    row = await found(reader, change)
    stored = await reader.events(f"change/{change}")
    impact = await _loaded(reader, stored, "change.mapped", "impact")
    return {
        **from_row(row),
        "tree": newest(stored, "change.submitted", "tree"),
        "attestation": newest(stored, "change.attested", "attestation")
        or newest(stored, "change.refused", "attestation"),
        "files": impact.get("files", []),
        "evidence": _evidence(await _loaded(reader, stored, "candidate.checked", "evidence")),
        "decision": _decision(await _loaded(reader, stored, "change.judged", "decision")),
        "approval": _approval(stored),
        "steps": [step(item) for item in stored],
    }


def step(item: StoredEvent) -> Doc:
    """Return one event as a step of the story; digests and findings apart from the other facts."""
    body = item.event.body
    digests = {k: v for k, v in body.items() if _is_digest(v)}
    return {
        "version": item.version,
        "at": moment(item.at),
        "step": STEP.get(item.event.type, ""),
        "event": item.event.type,
        "actor": item.event.actor,
        "reason": item.event.reason,
        "facts": {k: v for k, v in body.items() if k not in _HIDDEN and k not in digests},
        "digests": digests,
        "findings": [finding for name in _FINDINGS for finding in _list(body.get(name))],
        "causation": item.event.causation,
        "hash": item.hash,
    }


def newest(stored: Sequence[StoredEvent], kind: str, name: str) -> str:
    """Return a text of the newest event of a kind, or an empty one."""
    return next((str(i.event.body.get(name, "")) for i in reversed(stored) if i.event.type == kind), "")


async def load(reader: Reader, digest: str) -> Mapping[str, Json]:
    """Return a stored JSON document. Raises: IntegrityError, UnavailableError."""
    doc = json.loads(await reader.artifact(as_digest(digest)))
    return doc if isinstance(doc, dict) else {}


async def _loaded(reader: Reader, stored: Sequence[StoredEvent], kind: str, name: str) -> Mapping[str, Json]:
    digest = newest(stored, kind, name)
    if not digest:
        return {}
    try:
        return {**await load(reader, digest), "digest": digest}
    except (EvoguardError, ValueError) as err:
        return {"digest": digest, "unreadable": str(err)[:200]}


def _evidence(doc: Mapping[str, Json]) -> Doc:
    tests = [test for test in _list(doc.get("tests")) if isinstance(test, Mapping)]
    bad = [test for test in tests if test.get("outcome") in ("failed", "error")]
    return {
        **{k: v for k, v in doc.items() if k != "tests"},
        **({"not_passed": bad[:SHOWN_TESTS]} if tests else {}),
    }


def _decision(doc: Mapping[str, Json]) -> Doc:
    if not doc or "unreadable" in doc:
        return dict(doc)
    answer = doc.get("decision")
    return {
        "digest": doc["digest"],
        "bundle": doc.get("bundle", ""),
        **(answer if isinstance(answer, Mapping) else {}),
        **_repositorys(doc),
    }


def _repositorys(doc: Mapping[str, Json]) -> Doc:
    """Return what the repository's own rules said, where the base named any."""
    own = doc.get("repository")
    if not isinstance(own, Mapping):
        return {}
    said, why = own.get("decision"), own.get("why")
    verdict: Mapping[str, Json] = said if isinstance(said, Mapping) else {"allow": False, "deny": [why] if why else []}
    names = ("allow", "deny", "escalate", "quorum")
    return {"repository": {**{k: own.get(k) for k in ("path", "bundle", "signer")},
                           **{k: verdict[k] for k in names if k in verdict}}}  # fmt: skip


def _approval(stored: Sequence[StoredEvent]) -> Doc:
    asked = newest_request(stored)
    if not asked:
        return {}
    votes: list[Json] = [
        {
            **{k: i.event.body.get(k) for k in ("by", "kind", "verdict", "digest")},
            "at": moment(int(str(i.event.body.get("at", 0))) * 1000),
            "expires": moment(int(str(i.event.body.get("expires", 0))) * 1000),
            "reason": i.event.reason,
        }
        for i in stored
        if i.event.type == "approval.recorded"
    ]
    return {"digest": asked["digest"], "quorum": asked["quorum"], "votes": votes}


def _is_digest(value: Json) -> bool:
    return isinstance(value, str) and (
        (value.startswith("sha256:") and len(value) == 71)
        or (len(value) == 40 and not set(value) - set("0123456789abcdef"))
    )


def _list(value: Json) -> Sequence[Json]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()
