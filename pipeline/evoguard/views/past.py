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

CHANGES, PAGE = "change/", 200
Page = tuple[tuple[int, str, int], ...]
"""Places in the log: the place, the stream and the version in it."""
STAGE: dict[str, PolicyStage] = {"change.judged": "review", "change.admitted": "admit"}


async def of_change(reader: Reader, change: str) -> list[Recorded]:
    """Return the decisions on one change. Raises: InputError when there is no such change, IntegrityError."""
    await found(reader, change)
    stored = await reader.events(f"{CHANGES}{change}")
    return [await _recorded(reader, change, item) for item in stored if item.event.type in STAGE]


async def page(reader: Reader, *, after: int = 0) -> Page:
    """Return where the next decisions behind a place in the log stand, oldest first; nothing when there are none."""
    return await reader.filed(tuple(STAGE), after=after, limit=PAGE)


async def decisions(reader: Reader, at: Page, since_ms: int = 0) -> AsyncIterator[tuple[int, Recorded]]:
    """Yield the decisions of a page that were made from a moment on, each with its place. Raises: IntegrityError."""
    for place, stream, version in at:
        item = (await reader.events(stream))[version - 1]
        if item.at >= since_ms and stream.startswith(CHANGES):
            yield place, await _recorded(reader, stream.removeprefix(CHANGES), item)


async def every(reader: Reader) -> AsyncIterator[Recorded]:
    """Yield every decision, oldest first; a page of places and one change's events are held at a time.

    Raises: IntegrityError.
    """
    at = await page(reader)
    while at:
        async for _, one in decisions(reader, at):
            yield one
        at = await page(reader, after=at[-1][0])


async def _recorded(reader: Reader, change: str, item: StoredEvent) -> Recorded:
    """Return one decision; what cannot be read says why and has no question."""
    stage = STAGE[item.event.type]
    try:
        doc = json.loads(await reader.artifact(as_digest(str(item.event.body["decision"]))))
        question, answer = doc["question"], doc["decision"]
        denied = frozenset(str(finding["code"]) for finding in answer["deny"])
        if not isinstance(question, dict) or not isinstance(answer["allow"], bool):
            raise ValueError("of another shape")
        own = str((doc.get("repository") or {}).get("bundle", ""))
        return Recorded(
            change, stage, item.at, str(doc["bundle"]), question, answer["allow"], denied, repository=own,
            notes=tuple(note for note in answer.get("notes", []) if isinstance(note, dict)),
        )  # fmt: skip
    except EvoguardError as err:
        return Recorded(change, stage, item.at, why=err.message)
    except (ValueError, KeyError, TypeError):
        return Recorded(change, stage, item.at, why="the stored decision is of another shape")
