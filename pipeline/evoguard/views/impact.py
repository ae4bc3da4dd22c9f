"""What a change reaches and how risky it is at least, as it was recorded when it was mapped."""

from __future__ import annotations

from collections.abc import Mapping

from evoguard.domain.canonical import Json
from evoguard.errors import InputError
from evoguard.views.changes import found
from evoguard.views.reader import Doc, Reader
from evoguard.views.story import load, newest


async def impact(reader: Reader, change: str) -> Doc:
    """Return a change's risk, line by line, and its reach.

    Raises: InputError when there is no such change, or it was not measured; IntegrityError, UnavailableError.
    """
    row = await found(reader, change)
    digest = newest(await reader.events(f"change/{change}"), "change.mapped", "impact")
    if not digest:
        fix = f"see `evoguard show {change}`"
        raise InputError(f"{change} is {row.status} and was not mapped", code="impact.not_mapped", fix=fix)
    facts = await load(reader, digest)
    risk, reach = facts.get("risk"), facts.get("reach")
    if not isinstance(risk, Mapping) or not isinstance(reach, Mapping):
        raise InputError(
            f"{change} was mapped before risk was measured", code="impact.not_measured",
            fix="submit it again; the policies take it for a risk of 1000",
        )  # fmt: skip
    return {
        "change": change, "author": row.author, "component": row.component, "impact": digest,
        **{name: risk.get(name) for name in ("risk", "floor", "model", "features")},
        "files": facts.get("files", []),
        **{str(name): value for name, value in reach.items()},
    }  # fmt: skip


def said(facts: Mapping[str, Json]) -> str:
    """Return the risk in stored facts in one line, the lines of its sum that count; an empty text without one."""
    risk = facts.get("risk")
    if not isinstance(risk, Mapping):
        return ""
    listed = risk.get("features")
    rows = [row for row in listed if isinstance(row, Mapping)] if isinstance(listed, list) else []
    parts = [f"{row.get('name')} {row.get('points')}" for row in rows if row.get("points")]
    return f"{risk.get('risk')} of 1000" + (f": {', '.join(parts)}" if parts else "")
