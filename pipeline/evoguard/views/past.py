"""The decisions that were made, oldest first, each with the question that it answered."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

from evoguard.domain.backtest import Recorded
from evoguard.domain.canonical import as_digest
from evoguard.domain.events import StoredEvent
from evoguard.domain.verdict import PolicyStage
from evoguard.errors import EvoguardError
from evoguard.views.changes import found
from evoguard.views.reader import Reader

STAGE: dict[str, PolicyStage] = {"change.judged": "review", "change.admitted": "admit"}


async def of_change(reader: Reader, change: str) -> list[Recorded]:
    """Return the decisions on one change. Raises: InputError when there is no such change, IntegrityError."""
    await found(reader, change)
    stored = await reader.events(f"change/{change}")
    return [await _recorded(reader, change, item) for item in stored if item.event.type in STAGE]


async def all_since(reader: Reader, since_ms: int = 0) -> AsyncIterator[Recorded]:
    """Yield every decision from a moment on, by the change's submission. Raises: IntegrityError."""
    for row in reversed(await reader.changes(open_only=False)):
        for item in await reader.events(f"change/{row.id}"):
            if item.event.type in STAGE and item.at >= since_ms:
                yield await _recorded(reader, row.id, item)


async def _recorded(reader: Reader, change: str, item: StoredEvent) -> Recorded:
    """Return one decision; what cannot be read says why and has no question."""
    stage = STAGE[item.event.type]
    try:
        doc = json.loads(await reader.artifact(as_digest(str(item.event.body["decision"]))))
        question, answer = doc["question"], doc["decision"]
        denied = frozenset(str(finding["code"]) for finding in answer["deny"])
        if not isinstance(question, dict) or not isinstance(answer["allow"], bool):
            raise ValueError("of another shape")
        return Recorded(change, stage, item.at, str(doc["bundle"]), question, answer["allow"], denied)
    except EvoguardError as err:
        return Recorded(change, stage, item.at, why=err.message)
    except (ValueError, KeyError, TypeError):
        return Recorded(change, stage, item.at, why="the stored decision is of another shape")
