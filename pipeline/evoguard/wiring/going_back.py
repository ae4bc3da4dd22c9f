"""After a kill turned flags off: their callers' known-good is the version before, also where no flag server answers."""

from __future__ import annotations

from collections.abc import Iterable

from evoguard.adapters.version_store import FileVersions
from evoguard.domain.flag import FlagState
from evoguard.domain.version import Versions, versions_in
from evoguard.errors import EvoguardError, IntegrityError
from evoguard.settings import Settings


def go_back(settings: Settings, flags: Iterable[FlagState | None]) -> None:
    """Pin the known-good version of each flag that rolls out versions; all are tried. Raises: the first error.

    Where the store lost it, what was killed is pinned no longer at least.
    """
    store, failed = FileVersions(settings.versions_dir), list[EvoguardError]()
    for state in flags:
        try:
            named = versions_in(state.versions) if state is not None else None
            if state is not None and named is not None:
                _pin(store, state.flag, named)
        except ValueError as err:
            failed.append(IntegrityError(f"a flag's versions: {err}", code="version.invalid"))
        except EvoguardError as err:
            failed.append(err)
    if failed:
        raise failed[0]


def _pin(store: FileVersions, flag: str, named: Versions) -> None:
    try:
        store.pin_now(flag, named.known_good)
    except IntegrityError:
        store.unpin_now(flag, named.candidate)
        raise
