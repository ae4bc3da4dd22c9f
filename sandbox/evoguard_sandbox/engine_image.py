"""Images in a Docker engine, made of our own files without a registry and named by the digest of their content."""

from __future__ import annotations

import hashlib
import json
import platform
import secrets
import tarfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from evoguard_sandbox import image
from evoguard_sandbox.engine_link import ARCHES, Link
from evoguard_sandbox.image import Part
from evoguard_sandbox.spec import DEPS
from evoguard_sandbox.types import SandboxError

if TYPE_CHECKING:
    from evoguard_sandbox.room import Room

REPOSITORY = "evoguard-room"
CHUNK = 1 << 20


class Images:
    """The images of one room: its root filesystem below, a layer on it for each folder of dependencies."""

    def __init__(self, room: Room, link: Link) -> None:
        self.room, self.link = room, link
        self.folder = room.home / "images"
        self.folder.mkdir(mode=0o700, exist_ok=True)
        self.known: dict[tuple[Path, ...], str] = {}
        self.lock = threading.Lock()

    def of(self, layer_dirs: tuple[Path, ...]) -> str:
        """Return the engine's id of the image with these layers, given to it now when it has none.

        Raises: SandboxError when a layer is not there or the engine holds something else than we made.
        """
        with self.lock:
            if layer_dirs not in self.known:
                self.known[layer_dirs] = self._present(layer_dirs)
            return self.known[layer_dirs]

    def _present(self, layer_dirs: tuple[Path, ...]) -> str:
        room = self.room
        binds = room.binds(layer_dirs)
        ours = [bind for bind in binds if bind.source in (room.layer, room.home / "guest")]
        layers = [image.base(room.home / "rootfs", ours, room.python)]
        layers += [image.layer(bind) for bind in binds if bind.target.startswith(f"{DEPS}/")]
        spools = [self.folder / f"spool-{secrets.token_hex(4)}" for _ in layers]
        try:
            digests = [self._digest(parts, spool) for parts, spool in zip(layers, spools, strict=True)]
            if (found := self._held(digests)) is None:
                digests = [self._digest(parts, spool, anew=True) for parts, spool in zip(layers, spools, strict=True)]
                self.link.load(archive(digests, spools))
                found = self._held(digests)
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
        return str(told["Id"]) if list(told["RootFS"].get("Layers") or []) == list(digests) else None

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


def config(digests: Sequence[str]) -> bytes:
    """Return an image's configuration; its digest is the image's own name for itself in an engine."""
    when = "1970-01-01T00:00:00Z"
    told = {
        "architecture": ARCHES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "created": when,
        "config": {"Labels": {"evoguard.room": "1"}},
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
