"""All of the corpus, in the order in which it is shown."""

from __future__ import annotations

from evoguard.bench.corpus.answers import ANSWERS, SHADOWS
from evoguard.bench.corpus.config import CONFIG, EDITED
from evoguard.bench.corpus.exits import EXITS, LOADS, NEW_TESTS, SKIPS
from evoguard.bench.corpus.forgery import Forgery
from evoguard.bench.corpus.honest import HONEST
from evoguard.bench.corpus.objects import MEMORY, OBJECTS
from evoguard.bench.corpus.patches import PATCHES
from evoguard.bench.corpus.reports import REPORTS
from evoguard.bench.corpus.supply import CACHES, LAYERS

PARTS = (
    CONFIG, EDITED, EXITS, SKIPS, LOADS, NEW_TESTS, PATCHES, REPORTS, OBJECTS, MEMORY, ANSWERS, SHADOWS, LAYERS, CACHES,
)  # fmt: skip


def forgeries() -> tuple[Forgery, ...]:
    """Return every wrong program that tries to look green."""
    return tuple(forgery for part in PARTS for forgery in part)


def honest() -> tuple[Forgery, ...]:
    """Return changes that are right and must pass."""
    return HONEST
