"""LangGraph's checkpoint and the step's events in one transaction; a second driver of the same change is refused.

Source: docs/adr/0002-events-and-checkpoints-commit-together.md
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_metadata,
)
from langgraph.checkpoint.sqlite import SqliteSaver

from evoguard.adapters.sqlite import event_log
from evoguard.adapters.sqlite.db import transaction as whole
from evoguard.domain.events import decode
from evoguard.errors import FencedError
from evoguard.ports.clock import Clock

EVENTS_CHANNEL = "events"


class FencedSqliteSaver(SqliteSaver):
    """Commits events, projections, consumed messages and checkpoint together, or nothing.

    Every checkpoint may have one child only: two drivers of one thread cannot both commit a step.
    """

    def __init__(self, con: sqlite3.Connection, clock: Clock) -> None:
        super().__init__(con)
        self._clock = clock

    def setup(self) -> None:
        """Create LangGraph's tables and the one-child index; safe to call again."""
        super().setup()
        self.conn.execute(
            "create unique index if not exists checkpoints_one_child"
            " on checkpoints(thread_id, checkpoint_ns, coalesce(parent_checkpoint_id, ''))"
        )

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,  # noqa: ARG002  (part of the base class's signature)
    ) -> RunnableConfig:
        """Store a checkpoint and its step's events. Raises: FencedError when another driver came first."""
        where = config["configurable"]
        thread, ns = str(where["thread_id"]), where["checkpoint_ns"]
        values = dict(checkpoint["channel_values"])
        events = decode(values.pop(EVENTS_CHANNEL, ""))
        kind, blob = self.serde.dumps_typed({**checkpoint, "channel_values": values})
        notes = json.dumps(get_checkpoint_metadata(config, metadata), ensure_ascii=True).encode()
        with self.lock, whole(self.conn) as con:
            if events:
                event_log.append(con, f"change/{thread}", events, now_ms=self._clock.now_ms())
            try:
                con.execute(
                    "insert into checkpoints"
                    "(thread_id,checkpoint_ns,checkpoint_id,parent_checkpoint_id,type,checkpoint,metadata)"
                    " values(?,?,?,?,?,?,?)",
                    (thread, ns, checkpoint["id"], where.get("checkpoint_id"), kind, blob, notes),
                )
            except sqlite3.IntegrityError as err:
                raise FencedError(f"another driver moved {thread} on first", code="fenced.checkpoint") from err
        return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": checkpoint["id"]}}

    @contextmanager
    def cursor(self, transaction: bool = True) -> Iterator[sqlite3.Cursor]:
        """Yield a cursor for the base class; what it writes is stored whole or not at all."""
        with self.lock, closing(self.conn.cursor()) as cursor:
            if transaction:
                with whole(self.conn):
                    yield cursor
            else:
                yield cursor

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return a thread's newest checkpoint; SQLite answers in well under a millisecond, so no thread is used."""
        return self.get_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Store a checkpoint as `put` does."""
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, object]], task_id: str, task_path: str = ""
    ) -> None:
        """Store a task's writes as `put_writes` does."""
        self.put_writes(config, writes, task_id, task_path)
