"""Who is registered, by whom and when; the registry's own stream says it."""

from __future__ import annotations

from evoguard.domain.canonical import Json
from evoguard.domain.change import ActorKind
from evoguard.views.reader import Doc, Reader, moment


async def identities(reader: Reader, kind: ActorKind) -> list[Doc]:
    """Return the registered people or agents, oldest first. Raises: IntegrityError for a broken registry."""
    wanted = f"{kind}.added"
    rows: list[Doc] = []
    for item in await reader.events("registry"):
        if item.event.type == wanted:
            body = item.event.body
            signed: Json = bool(body.get("envelope"))
            rows.append(
                {
                    "name": body.get("name"),
                    "kind": kind,
                    "added": moment(item.at),
                    "by": item.event.actor,
                    "signed": signed,
                    "public_pem": body.get("public_pem"),
                }
            )
    return rows
