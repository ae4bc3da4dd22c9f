"""Exactly what a person signs: the digest that is asked for, and everything that it is made of, computed again here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from evoguard.domain.approval import Approval, newest_request, people_for, seats_in, set_apart
from evoguard.domain.canonical import Digest, Json, as_digest, digest_of
from evoguard.domain.change import Author, CommitId, Proposal, TreeId, approval_digest
from evoguard.domain.events import StoredEvent
from evoguard.errors import InputError, IntegrityError
from evoguard.views.assurance import assurance_words
from evoguard.views.changes import found
from evoguard.views.impact import said
from evoguard.views.reader import Doc, Reader
from evoguard.views.story import load, newest


async def asked(reader: Reader, change: str, *, now_s: int) -> Doc:
    """Return what approving the change now would sign.

    Raises: InputError when it waits for nothing; IntegrityError when the digest is not the one of what is shown.
    """
    row = await found(reader, change)
    if row.status != "waiting for approval":
        fix = f"see `evoguard show {change}`"
        raise InputError(f"{change} is {row.status}, it waits for no approval", code="approval.not_waiting", fix=fix)
    stored = await reader.events(f"change/{change}")
    proposal = _proposal(stored)
    digest = as_digest(newest(stored, "approval.requested", "digest"))
    evidence, decision = newest(stored, "candidate.checked", "evidence"), newest(stored, "change.judged", "decision")
    bundle = newest(stored, "change.judged", "bundle")
    impact = await load(reader, newest(stored, "change.mapped", "impact"))
    component = impact.get("component")
    again = approval_digest(
        proposal=proposal, evidence=as_digest(evidence), bundle=as_digest(bundle), component=digest_of(component),
        decision=as_digest(decision),
    )  # fmt: skip
    if again != digest:
        raise IntegrityError("what is asked for is not the digest of what would be shown", code="approval.shown",
                             fix="sign nothing; see `evoguard show` and `evoguard audit verify`")  # fmt: skip
    return {
        "change": change,
        "author": proposal.author.id,
        "intent": proposal.intent,
        "repo": proposal.repo,
        "base": proposal.base,
        "head": proposal.head,
        "tree": proposal.tree,
        "files": _paths(impact.get("files")),
        "totals": impact.get("totals", {}),
        "component": component,
        "first_release": newest(stored, "change.mapped", "first_release") == "True",
        **await _seen(reader, evidence, newest(stored, "candidate.checked", "held_out")),
        "risk": said(impact),
        "escalated": await _escalated(reader, decision),
        "evidence": evidence,
        "decision": decision,
        "bundle": bundle,
        **_quorum(stored, digest, proposal.author, now_s),
        "digest": digest,
    }


def _proposal(stored: Sequence[StoredEvent]) -> Proposal:
    text = {
        name: newest(stored, "change.submitted", name) for name in ("repo", "base", "head", "tree", "intent", "author")
    }
    kind = newest(stored, "change.submitted", "author_kind")
    author = Author(text["author"], "agent" if kind == "agent" else "person")
    return Proposal(
        text["repo"], CommitId(text["base"]), CommitId(text["head"]), TreeId(text["tree"]), text["intent"], author
    )


async def _seen(reader: Reader, evidence: str, held_out: str) -> Doc:
    """Return what was run, what the verdict rests on, and what no layer could prove."""
    doc = await load(reader, evidence)
    names = ("passed", "isolation", "behaviour", "assurance", "expected", "run", "failed", "wall_ms")
    return {
        "tests": {name: doc.get(name) for name in names},
        "rests_on": assurance_words(doc, held_out),
        "review": doc.get("review", []),
        "unstable": doc.get("unstable", []),
    }


async def _escalated(reader: Reader, decision: str) -> Json:
    """Return what the policies want people to look at."""
    record = await load(reader, decision)
    own = record.get("repository")
    answers = (record.get("decision"), own.get("decision") if isinstance(own, Mapping) else None)
    found = [one for said in answers if isinstance(said, Mapping) for one in _listed(said.get("escalate"))]
    return [one for n, one in enumerate(found) if one not in found[:n]]


def _listed(value: Json) -> Sequence[Json]:
    return value if isinstance(value, Sequence) and not isinstance(value, str) else ()


def _quorum(stored: Sequence[StoredEvent], digest: Digest, author: Author, now_s: int) -> Doc:
    votes = [_vote(item.event.body) for item in stored if item.event.type == "approval.recorded"]
    asked = newest_request(stored)
    behind = set_apart(asked)
    people = people_for(votes, digest=digest, author=author, now=now_s, apart=behind)
    agents = {
        v.by for v in votes if v.kind == "agent" and (v.digest, v.verdict) == (digest, "approve") and v.expires > now_s
    }
    return {
        "quorum": asked.get("quorum", 1), "approved_by": [*sorted(people)], "set_apart": [*sorted(behind)],
        "seats": seats_in(asked), "reviewed_by": [*sorted(agents - {author.id})],
    }  # fmt: skip


def _vote(body: Mapping[str, Json]) -> Approval:
    return Approval(
        by=str(body["by"]),
        kind="person" if body["kind"] == "person" else "agent",
        digest=as_digest(str(body["digest"])),
        verdict="approve" if body["verdict"] == "approve" else "reject",
        at=int(str(body["at"])),
        expires=int(str(body["expires"])),
    )


def _paths(files: Json) -> list[Json]:
    listed = files if isinstance(files, Sequence) and not isinstance(files, str) else ()
    return [
        {k: f.get(k) for k in ("path", "old_path", "status", "added", "deleted", "binary")}
        for f in listed
        if isinstance(f, Mapping)
    ]
