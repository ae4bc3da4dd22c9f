"""What a step stored by digest, read again."""

from __future__ import annotations

import json
from collections.abc import Mapping

from evoguard.domain.canonical import Json, as_digest
from evoguard.ports import Ports


async def load(ports: Ports, digest: str) -> Mapping[str, Json]:
    """Return a stored JSON document, proved against its digest."""
    doc: Mapping[str, Json] = json.loads(await ports.artifacts.get(as_digest(digest)))
    return doc


def rows(listed: Json) -> list[Mapping[str, Json]]:
    """Return the tables of a list that facts hold; none of what is no list."""
    return [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []
