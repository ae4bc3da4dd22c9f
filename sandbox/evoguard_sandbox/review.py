"""What no test can prove, for people: what a change adds that looks at its environment, and calls that differ now."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from evoguard_sandbox.judging import changes
from evoguard_sandbox.reviewing import differential, lint
from evoguard_sandbox.reviewing.differential import Compared
from evoguard_sandbox.rooms.pool import Pool
from evoguard_sandbox.rooms.room import Room
from evoguard_sandbox.trees import TreeError, matcher, read_tree
from evoguard_sandbox.types import Limits, Suite


async def review(suite: Suite, *, limits: Limits, room: Room, pool: Pool | None = None) -> Compared:
    """Return what a person should look at in a candidate, bounded; none of it is a reason for a no by itself.

    With it goes how many calls, to how many functions, were compared.

    Worth its two sandboxes only for a candidate that passed. A tree that cannot be read is one finding.
    Raises: SandboxError when a dependency layer is not there.
    """
    try:
        base, candidate = (read_tree(files, limits) for files in (suite.base_files, suite.candidate_files))
    except TreeError as err:
        return Compared((err.finding,))
    touches = matcher(suite.test_paths)

    def trusted(path: str) -> bool:
        return touches(path) or changes.is_config(path)

    looked, compared = await asyncio.gather(
        asyncio.to_thread(lint.review, base, candidate, trusted),
        differential.compare(room, pool, limits, base, candidate, trusted=trusted, layer_dirs=suite.layer_dirs),
    )
    return replace(compared, findings=(*looked, *compared.findings))
