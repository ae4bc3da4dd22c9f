"""Attacks on what is loaded by digest: swapped bytes, forged payloads, a lost known-good, a kill in mid-load."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from UnleashClient import UnleashClient  # type: ignore[attr-defined]  # its own way to export
from UnleashClient.constants import FEATURES_URL

from evoguard.adapters.version_store import FileVersions
from evoguard.domain.canonical import Digest, canonical
from evoguard.domain.flag import FlagState
from evoguard.domain.latch import LatchBoard
from evoguard.domain.version import Version, Versions
from evoguard.edge.flagging import MemoryCache
from evoguard.edge.versions import Loaded, VersionLoader
from evoguard.errors import IntegrityError
from evoguard.flags.document import page, served
from fakes import FakeLatches

FLAG, ANN = "letters", {"userId": "ann"}
GOOD, BAD, BUILT_IN = (Version("letters", "prompt", {"p.txt": text}) for text in ("good", "bad", "built in"))
OTHERS = Version("prices", "prompt", {"p.txt": "of another component"})
NAMED = Versions("prompt", BAD.digest, GOOD.digest)
STATE = FlagState(
    FLAG, "letters", "ch-0123456789ab", True, 100, "a" * 40, "b" * 40, 0, 0, canonical(NAMED.as_json()).decode()
)
Forge = Callable[[dict[str, Any]], object]


class Service:
    """A service with a stock SDK that reads documents from its cache, over a real store."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store, self.cache = folder, FileVersions(folder), MemoryCache()
        for version in (GOOD, BAD, OTHERS):
            self.store._keep(version.packed())
        self.store.pin_now(FLAG, GOOD.digest, BAD.digest)
        self.told: list[Loaded] = []
        self.client: UnleashClient | None = None

    def sees(self, state: FlagState | None, board: LatchBoard | None = None, forge: Forge | None = None) -> None:
        """Make this what the SDK fetched last."""
        doc = json.loads(page(served([state] if state else [], board or LatchBoard())).body)
        if forge:
            variant = doc["features"][0]["variants"][0]
            forged = forge(json.loads(variant["payload"]["value"]))
            variant["payload"] = {"type": "json", "value": forged if isinstance(forged, str) else json.dumps(forged)}
        self.cache.set(FEATURES_URL, json.dumps(doc))

    def loader(self) -> VersionLoader:
        self.client = UnleashClient(
            url="http://127.0.0.1:9/api", app_name="attacked", cache=self.cache, disable_metrics=True,
            disable_registration=True, refresh_interval=3600,
        )  # fmt: skip
        self.client.initialize_client(fetch_toggles=False)
        return VersionLoader(self.client, self.cache, self.store, {FLAG: BUILT_IN.packed()}, self.told.append)

    def path(self, digest: Digest) -> Path:
        name = digest.removeprefix("sha256:")
        return self.folder / "sha256" / name[:2] / name[2:]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(tmp_path / "versions")
    yield made
    if made.client is not None:
        made.client.destroy()


def test_the_flag_names_the_version_and_off_names_the_known_good(service: Service) -> None:
    service.sees(STATE)
    loader = service.loader()
    assert loader.load(FLAG, ANN) == Loaded(FLAG, BAD, BAD.digest, "candidate")
    service.client.destroy() if service.client else None
    service.sees(replace(STATE, enabled=False))
    assert service.loader().load(FLAG, ANN) == Loaded(FLAG, GOOD, GOOD.digest, "known_good")
    assert service.told == []


@pytest.mark.parametrize("how", ["killed", "fenced", "off"])
def test_whatever_turns_a_flag_off_puts_the_known_good_into_its_variant(how: str) -> None:
    latches = FakeLatches()
    if how != "off":
        latch = latches.kill()
        if how == "fenced":
            latches.lift(latch)
    state = replace(STATE, enabled=how != "off")
    variant = json.loads(page(served([state], latches.board())).body)["features"][0]["variants"][0]
    version = {"kind": "prompt", "digest": GOOD.digest, "known_good": GOOD.digest}
    assert json.loads(variant["payload"]["value"])["version"] == version


@pytest.mark.parametrize("raw", [GOOD.packed(), OTHERS.packed(), b"", b"x" * 300_000, b"[" * 5_000])
def test_bytes_swapped_under_a_digest_are_never_given_out(service: Service, raw: bytes) -> None:
    service.sees(STATE)
    service.path(BAD.digest).write_bytes(raw)
    loaded = service.loader().load(FLAG, ANN)
    assert (loaded.version, loaded.arm, loaded.code) == (GOOD, "known_good", "version.changed")
    assert service.told == [loaded]


def test_bytes_swapped_after_a_good_read_are_seen_at_the_next(service: Service) -> None:
    service.sees(STATE)
    loader = service.loader()
    assert loader.load(FLAG, ANN).version == BAD
    service.path(BAD.digest).write_bytes(OTHERS.packed())
    assert loader.load(FLAG, ANN).version == GOOD


@pytest.mark.parametrize("how", ["link", "pipe", "folder"])
def test_what_is_no_plain_file_is_not_read(service: Service, how: str) -> None:
    service.sees(STATE)
    path = service.path(BAD.digest)
    path.rename(path.with_suffix(".kept"))
    {"link": lambda: path.symlink_to(path.with_suffix(".kept")), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir}[
        how
    ]()
    assert service.loader().load(FLAG, ANN).version == GOOD


@pytest.mark.parametrize(
    "forge",
    [
        lambda _: "x" * 10_000, lambda doc: {**doc, "pad": "x" * 5_000}, lambda _: "[" * 4_000, lambda _: [1],
        lambda doc: {k: v for k, v in doc.items() if k != "version"},
        lambda doc: {**doc, "version": BAD.digest},
        lambda doc: {**doc, "version": {**doc["version"], "kind": "weights"}},
        lambda doc: {**doc, "version": {**doc["version"], "kind": ["prompt"]}},
        lambda doc: {**doc, "version": {**doc["version"], "digest": "../../../etc/passwd"}},
        lambda doc: {**doc, "version": {**doc["version"], "digest": 7}},
        lambda doc: {**doc, "version": {**doc["version"], "url": "http://192.0.2.1/"}},
    ],
)  # fmt: skip
def test_a_forged_or_oversized_payload_gives_what_is_pinned(service: Service, forge: Forge) -> None:
    service.sees(STATE, forge=forge)
    loaded = service.loader().load(FLAG, ANN)
    assert (loaded.version, loaded.arm, loaded.code) == (GOOD, "known_good", "versions.payload")


@pytest.mark.parametrize(
    ("digest", "code"), [("sha256:" + "0" * 64, "version.unknown"), (OTHERS.digest, "version.foreign")]
)
def test_a_digest_that_nobody_kept_or_that_another_component_has_is_not_loaded(
    service: Service, digest: str, code: str
) -> None:
    service.sees(STATE, forge=lambda doc: {**doc, "version": {**doc["version"], "digest": digest}})
    loaded = service.loader().load(FLAG, ANN)
    assert (loaded.version, loaded.code) == (GOOD, code)


def test_without_a_flag_server_the_pinned_known_good_is_used_and_said(service: Service) -> None:
    loaded = service.loader().load(FLAG, ANN)
    assert (loaded.version, loaded.code) == (GOOD, "versions.silent")
    assert service.told == [loaded]


def test_a_known_good_that_was_removed_leaves_the_last_one_read_and_then_the_built_in(service: Service) -> None:
    service.sees(replace(STATE, enabled=False))
    loader = service.loader()
    assert loader.load(FLAG, ANN).version == GOOD
    service.path(GOOD.digest).unlink()
    kept = loader.load(FLAG, ANN)
    assert (kept.version, kept.code) == (GOOD, "version.unknown")
    assert service.client is not None
    service.client.destroy()
    assert service.loader().load(FLAG, ANN).version == BUILT_IN


def test_a_kill_while_a_load_is_running_gives_the_known_good(service: Service) -> None:
    service.sees(STATE)
    loader, read, latches = service.loader(), service.store.read, FakeLatches()

    def slow(digest: str) -> bytes:
        if digest == BAD.digest:
            latches.kill()
            service.sees(STATE, latches.board())  # fetched while the disk was asked
        return read(digest)

    service.store.read = slow  # type: ignore[method-assign]
    loaded = loader.load(FLAG, ANN)
    assert (loaded.version, loaded.arm, loaded.code) == (GOOD, "known_good", "versions.turned_off")


def test_nothing_that_fails_reaches_the_service(service: Service) -> None:
    class Broken:
        def __getattr__(self, name: str) -> object:
            raise OSError(name)

    def refuse(_: Loaded) -> None:
        raise RuntimeError("the pager is down")

    broken: Any = Broken()
    loader = VersionLoader(broken, broken, broken, {FLAG: BUILT_IN.packed()}, refuse)
    assert loader.load(FLAG, ANN).version == BUILT_IN
    assert sum(loader.fallbacks.values()) == 1


def test_a_clean_up_takes_what_is_old_and_never_what_is_pinned(service: Service) -> None:
    store = FileVersions(service.folder, most_age_s=0, most_bytes=0)
    assert store.sweep() == 1
    assert store.read(GOOD.digest)
    assert store.read(BAD.digest)
    with pytest.raises(IntegrityError):
        store.read(OTHERS.digest)


@pytest.mark.parametrize("raw", [b"{}", b"", b"[" * 5_000, b"x" * 20_000, b'{"v":1,"flag":"other"}'])
def test_while_a_pin_cannot_be_read_nothing_is_cleaned_up(service: Service, raw: bytes) -> None:
    (service.folder / "pins" / f"{FLAG}.json").write_bytes(raw)
    assert FileVersions(service.folder, most_age_s=0, most_bytes=0).sweep() == 0
    with pytest.raises(IntegrityError):
        service.store.pins(FLAG)
    assert service.loader().load(FLAG, ANN).version == BUILT_IN


def test_nothing_is_pinned_that_the_store_does_not_hold(service: Service) -> None:
    with pytest.raises(IntegrityError):
        service.store.pin_now(FLAG, BUILT_IN.digest)
    assert service.store.pins(FLAG).known_good == (GOOD.digest,)


def test_going_back_forgets_what_came_later(service: Service) -> None:
    service.store.pin_now(FLAG, BAD.digest)
    assert service.store.pins(FLAG).known_good == (BAD.digest, GOOD.digest)
    service.store.pin_now(FLAG, GOOD.digest)
    assert service.store.pins(FLAG).known_good == (GOOD.digest,)
