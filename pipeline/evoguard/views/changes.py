"""Where changes stand, one row each."""

from __future__ import annotations

from collections import Counter

from evoguard.domain.change import is_change_id
from evoguard.domain.latch import LatchBoard
from evoguard.errors import InputError
from evoguard.ports.queries import ChangeRow
from evoguard.views.reader import Doc, Reader, moment


def from_row(row: ChangeRow) -> Doc:
    """Return a change's row as plain JSON; an empty outcome means that it is on its way."""
    return {
        "change": row.id,
        "status": row.status,
        "outcome": row.outcome,
        "percent": row.stage_percent,
        "component": row.component,
        "flag": row.flag,
        "author": row.author,
        "intent": row.intent,
        "repo": row.repo,
        "base": row.base,
        "head": row.head,
        "created": moment(row.created_at),
        "updated": moment(row.updated_at),
        "detail": row.detail,
    }


async def found(reader: Reader, change: str) -> ChangeRow:
    """Return a change's row. Raises: InputError when there is none."""
    row = await reader.change(change) if is_change_id(change) else None
    if row is None:
        raise InputError(f"there is no change {change[:60]!r}", code="change.unknown", fix="see `evoguard list`")
    return row


async def overview(reader: Reader, board: LatchBoard) -> Doc:
    """Return what is open, who is waited for, and which kills are in force."""
    rows = await reader.changes(open_only=True)
    return {
        "open": len(rows),
        "by_status": dict(sorted(Counter(row.status for row in rows).items())),
        "waiting_for_approval": [row.id for row in rows if row.status == "waiting for approval"],
        "rolling_out": [from_row(row) for row in rows if row.status == "rolling out"],
        "kills": kills(board),
        "unreadable_latches": list(board.unreadable),
    }


def kills(board: LatchBoard) -> list[Doc]:
    """Return every kill that is in force."""
    return [
        {
            "kill": latch.id,
            "epoch": latch.epoch,
            "scope": latch.scope,
            "name": latch.name,
            "reason": latch.reason,
            "by": latch.by,
            "at": moment(latch.at * 1000),
            "signed": bool(latch.signed),
            "drill": latch.is_drill,
        }
        for latch in board.latches
        if not latch.lifted
    ]
