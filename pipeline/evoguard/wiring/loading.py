"""What a service imports to load versions by digest: a stock UnleashClient, the store's folder, and its own built-in.

cache = MemoryCache()  # of evoguard.edge.flagging, or any other cache of the SDK
client = UnleashClient(..., cache=cache)
versions = loader(client, cache, Path("/var/lib/evoguard/versions"), {"lending-letters": built_in})
files = versions.load("lending-letters", {"userId": user}).version.files
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from evoguard.adapters.version_store import FileVersions
from evoguard.edge.versions import Cache, Client, Loaded, VersionLoader


def loader(
    client: Client,
    cache: Cache,
    folder: Path,
    built_in: Mapping[str, bytes],
    report: Callable[[Loaded], None] | None = None,
) -> VersionLoader:
    """Return a loader over the store's folder, which it only reads. Raises: InputError as `VersionLoader`."""
    return VersionLoader(client, cache, FileVersions(folder), built_in, report)
