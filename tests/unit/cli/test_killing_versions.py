"""A kill by command puts back the pins too: a service that starts without a flag server loads what was before."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoguard.adapters.version_store import FileVersions
from evoguard.domain.canonical import canonical
from evoguard.domain.flag import FlagState
from evoguard.domain.version import Version, Versions
from evoguard.errors import EvoguardError
from evoguard.settings import Settings
from evoguard.wiring.going_back import go_back

OLD, NEW = (Version("letters", "prompt", {"p.txt": text}) for text in ("old", "new"))
NAMED = canonical(Versions("prompt", NEW.digest, OLD.digest).as_json()).decode()


def _state(flag: str, versions: str) -> FlagState:
    return FlagState(flag, "letters", "ch-0123456789ab", False, 100, "a" * 40, "b" * 40, 0, 0, versions)


async def test_a_kill_of_a_finished_release_pins_the_version_before_it(tmp_path: Path) -> None:
    settings = Settings.load(tmp_path, {"HOME": str(tmp_path)})
    store = FileVersions(settings.versions_dir)
    for version in (OLD, NEW):
        await store.keep(version.packed())
    for flag in ("one", "two"):
        store.pin_now(flag, OLD.digest)
        store.pin_now(flag, NEW.digest)
    lost = canonical(Versions("prompt", NEW.digest, Version("letters", "prompt", {}).digest).as_json()).decode()
    with pytest.raises(EvoguardError):  # said at the end: what could be put back was
        go_back(settings, [None, _state("lost", lost), _state("odd", "{"), _state("commits", ""), _state("one", NAMED)])
    assert store.pins("one").known_good == (OLD.digest,)
    assert store.pins("two").known_good == (NEW.digest, OLD.digest)
