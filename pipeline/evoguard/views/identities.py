"""Who is registered, by whom and when, and who waits for a second voucher; the registry's own stream says it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from evoguard.domain.canonical import Json
from evoguard.domain.change import ActorKind
from evoguard.domain.events import StoredEvent
from evoguard.domain.identity import Command, Identity, Prove, Vouch, added_in, counted, vouch_in, vouches_in
from evoguard.views.reader import Doc, Reader, moment


async def identities(reader: Reader, kind: ActorKind, prove: Prove) -> list[Doc]:
    """Return the registered people or agents, oldest first. Raises: IntegrityError for a broken registry.

    `vouched_by` names only those whose signature proves it now, with the key that the log registered before.
    """
    rows: list[Doc] = []
    known: dict[str, Identity] = {}
    for item in await reader.events("registry"):
        added = added_in(item.event)
        if added is None:
            continue
        vouched_by = _proved(item, known, prove)
        known[added.name] = added
        if added.kind == kind:
            rows.append(
                {
                    "name": added.name,
                    "kind": kind,
                    "added": moment(item.at),
                    "by": item.event.actor,
                    "signed": bool(vouched_by),
                    "vouched_by": vouched_by,
                    "public_pem": added.public_pem,
                    **({"model": added.model} if kind == "agent" else {}),
                }
            )
    return rows


async def pending(reader: Reader, counts: Callable[[Vouch], Command | None]) -> list[Doc]:
    """Return who waits for a second person: one row for each name and key, with the vouches that count now."""
    rows: dict[Identity, Doc] = {}
    for item in await reader.events("registry"):
        vouch = vouch_in(item.event)
        command = counts(vouch) if vouch is not None else None
        if vouch is None or command is None:
            continue
        rows[vouch.applicant] = {
            "name": vouch.applicant.name,
            "proposed": moment(item.at),
            "expires": moment(command.expires * 1000),
            "vouched_by": [vouch.by],
            "public_pem": vouch.applicant.public_pem,
        }
    return list(rows.values())


def _proved(item: StoredEvent, known: Mapping[str, Identity], prove: Prove) -> list[Json]:
    said, now_s = vouches_in(item.event), item.at // 1000
    return [v.by for v in said if counted(v, known.get(v.by), prove, now_s=now_s) is not None]
