"""Images in a Docker engine, made of our own files without a registry and named by the digest of their content."""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
import re
import secrets
import tarfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from evoguard_sandbox.rooms import image
from evoguard_sandbox.rooms.engine_link import ARCHES, Link
from evoguard_sandbox.rooms.image import Part
from evoguard_sandbox.types import SandboxError

if TYPE_CHECKING:
    from evoguard_sandbox.rooms.room import Room

REPOSITORY = "evoguard-room"
OURS = "evoguard.room=1"
KEEP_DAYS, MOST_KEPT = 14, 12
TOUCH_S = 86_400
"""How often an image in use is named anew: an engine tells when that was last, and nothing else of its age."""
CHUNK = 1 << 20


class Shelf(Protocol):
    """What clearing up uses of the Docker SDK's client."""

    def images(self, *, name: str, filters: Mapping[str, list[str]]) -> list[dict[str, Any]]:
        """List images."""

    def inspect_image(self, image: str) -> dict[str, Any]:
        """Return what an image is made of."""

    def tag(self, image: str, repository: str, tag: str) -> bool:
        """Give an image a name."""

    def remove_image(self, image: str, *, force: bool) -> object:
        """Remove an image. Raises: an error of the SDK when a container needs it."""


class Images:
    """The images of one room: its root filesystem below, a layer on it for each folder of dependencies."""

    def __init__(self, room: Room, link: Link) -> None:
        self.room, self.link = room, link
        self.base = image.base(room.layer, room.python, room.programs)
        self.folder = room.home / "images"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.digest = ""
        """Of the root filesystem alone; known once the engine was given it."""
        self.known: dict[tuple[Path, ...], tuple[str, float]] = {}
        self.lock = threading.Lock()

    def of(self, layer_dirs: tuple[Path, ...]) -> str:
        """Return the engine's id of the image with these layers, given to it now when it has none.

        Raises: SandboxError when a layer is not there or the engine holds something else than we made.
        """
        with self.lock:
            found, when = self.known.get(layer_dirs, ("", 0.0))
            if not found or time.monotonic() - when > TOUCH_S:
                found = self._present(layer_dirs)
                self.known[layer_dirs] = found, time.monotonic()
            return found

    def _present(self, layer_dirs: tuple[Path, ...]) -> str:
        layers = [self.base, *(image.layer(bind) for bind in self.room.binds(layer_dirs))]
        spools = [self.folder / f"spool-{secrets.token_hex(4)}" for _ in layers]
        try:
            digests = [self._digest(parts, spool) for parts, spool in zip(layers, spools, strict=True)]
            self.digest = digests[0]
            if (found := self._held(digests)) is None:
                digests = [self._digest(parts, spool, anew=True) for parts, spool in zip(layers, spools, strict=True)]
                self.link.load(archive(digests, spools))
                found = self._held(digests)
                if found is not None:
                    self._clear(found)
        finally:
            for spool in spools:
                spool.unlink(missing_ok=True)
        if found is None:
            raise SandboxError("sandbox.image", "the engine does not hold the image that it was given", "try again")
        return found

    def _held(self, digests: Sequence[str]) -> str | None:
        """Return the id of the image of that name, when it is made of exactly these layers."""
        try:
            told = self.link.client.inspect_image(name_of(digests))
        except self.link.absent:
            return None
        except self.link.error as err:
            raise SandboxError("sandbox.image", "the engine did not say what it holds", "look at the engine") from err
        if list(told["RootFS"].get("Layers") or []) != list(digests):
            return None
        with contextlib.suppress(
            *self.link.error
        ):  # then it looks older than it is; what is in use is kept all the same
            self.shelf.tag(str(told["Id"]), *name_of(digests).split(":"))
        return str(told["Id"])

    @property
    def shelf(self) -> Shelf:
        """Return the engine's client for the words that are used here only."""
        return cast(Shelf, self.link.client)

    def _clear(self, fresh: str) -> None:
        """Remove images of ours that nobody used for long; an engine keeps what a container needs."""
        ours = {fresh, *(found for found, _ in self.known.values())}
        with contextlib.suppress(*self.link.error):
            clear(self.shelf, ours, datetime.now(UTC), self.link.error)

    def _digest(self, parts: Sequence[Part], spool: Path, *, anew: bool = False) -> str:
        """Return the digest of a layer's tar, remembered for the same files; `anew`: the tar is in `spool`, too."""
        note = self.folder / image.listing(parts)
        if note.is_file() and (spool.is_file() or not anew):
            return note.read_text(encoding="utf-8")
        with spool.open("wb") as out:
            digest = image.write(parts, out)
        fresh = note.with_name(f"{note.name}.{secrets.token_hex(4)}")
        fresh.write_text(digest, encoding="utf-8")
        fresh.rename(note)
        return digest


def clear(shelf: Shelf, keep: Set[str], now: datetime, error: tuple[type[Exception], ...]) -> tuple[str, ...]:
    """Remove the images that carry our label and name and were not named for some days, or are too many; return them.

    Those in `keep` stay, and whatever a container is made of.
    """
    rows = shelf.images(name=REPOSITORY, filters={"label": [OURS]})
    aged = sorted((_last_named(shelf.inspect_image(str(row["Id"])), now), str(row["Id"])) for row in rows)
    gone = []
    for place, (when, name) in enumerate(aged):
        old = now - when > timedelta(days=KEEP_DAYS)
        if name in keep or not (old or len(aged) - place > MOST_KEPT):
            continue
        with contextlib.suppress(*error):
            shelf.remove_image(name, force=False)
            gone.append(name)
    return tuple(gone)


def _last_named(told: Mapping[str, Any], now: datetime) -> datetime:
    """Return when an image was last given its name; one that does not tell counts as named now."""
    try:
        when = datetime.fromisoformat(re.sub(r"\.\d+", "", str(told["Metadata"]["LastTagTime"])).replace("Z", "+00:00"))
    except (KeyError, TypeError, ValueError):
        return now
    return when if when.tzinfo is not None and when.year > 1970 else now


def config(digests: Sequence[str]) -> bytes:
    """Return an image's configuration; its digest is the image's own name for itself in an engine."""
    when = "1970-01-01T00:00:00Z"
    told = {
        "architecture": ARCHES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": when,
        "config": {"Labels": dict([OURS.split("=")])},
        "rootfs": {"type": "layers", "diff_ids": list(digests)},
        "history": [{"created": when, "created_by": "evoguard"} for _ in digests],
    }
    return json.dumps(told, sort_keys=True).encode()


def name_of(digests: Sequence[str]) -> str:
    """Return the name that carries the digest of an image of these layers."""
    return f"{REPOSITORY}:{hashlib.sha256(config(digests)).hexdigest()}"


def archive(digests: Sequence[str], spools: Sequence[Path]) -> Iterator[bytes]:
    """Yield the archive that an engine loads: configuration, manifest, one tar a layer."""
    told = config(digests)
    names = [f"{digest.removeprefix('sha256:')}.tar" for digest in digests]
    head = f"{hashlib.sha256(told).hexdigest()}.json"
    manifest = [{"Config": head, "RepoTags": [name_of(digests)], "Layers": names}]
    yield from _file(head, [told], len(told))
    words = json.dumps(manifest).encode()
    yield from _file("manifest.json", [words], len(words))
    for name, spool in zip(names, spools, strict=True):
        yield from _file(name, _chunks(spool), spool.stat().st_size)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _file(name: str, chunks: Iterator[bytes] | list[bytes], size: int) -> Iterator[bytes]:
    info = tarfile.TarInfo(name)
    info.size = size
    yield info.tobuf(tarfile.GNU_FORMAT)
    yield from chunks
    yield bytes(-size % tarfile.BLOCKSIZE)


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            yield data
