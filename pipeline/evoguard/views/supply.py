"""What a change brings with it, as it was stored: its bills of material."""

from __future__ import annotations

from collections.abc import Mapping

from evoguard.domain.canonical import Json
from evoguard.errors import InputError
from evoguard.views.changes import found
from evoguard.views.reader import Reader
from evoguard.views.story import load, newest


async def bill(reader: Reader, change: str, which: str) -> Mapping[str, Json]:
    """Return a change's bill `base` or `head`, or their `difference`. Raises: InputError when none was made."""
    await found(reader, change)
    digest = newest(await reader.events(f"change/{change}"), "candidate.inspected", f"sbom_{which}")
    if not digest:
        raise InputError(
            f"{change} has no bill of material",
            code="sbom.none",
            fix=f"see `evoguard show {change}`: it is made by check",
        )
    return await load(reader, digest)
