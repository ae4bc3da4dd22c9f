"""Other rules for an attack: the shipped ones with other data, kept, and put in force by people."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from evoguard import bundle
from evoguard.adapters import bundles
from evoguard.domain.activation import PURPOSE, STREAM, Activation, Signature, activated
from evoguard.domain.canonical import Digest, Json, canonical, digest_of
from evoguard.exam.hall import Hall


def written(folder: Path, data: Mapping[str, Json]) -> Path:
    """Write the shipped bundle with other data, and the manifest that then belongs to it; nothing of it needs OPA."""
    shipped = bundle.load()
    folder.mkdir()
    doc = json.loads(shipped.data)
    for name, value in data.items():
        doc[name] = {**doc[name], **value} if isinstance(value, Mapping) else value
    parts = {
        bundle.WASM: shipped.wasm, bundle.TESTS: shipped.tests_wasm, bundle.DATA: canonical(doc),
        bundle.SCAN: shipped.scan, bundle.SOURCES: canonical(dict(bundle.sources())),
    }  # fmt: skip
    manifest = {**json.loads(shipped.named), "data": digest_of(parts[bundle.DATA])}
    parts[bundle.MANIFEST] = canonical({**manifest, "digest": bundle.identity(manifest)})
    for name, raw in parts.items():
        (folder / name).write_bytes(raw)
    return folder


def another(hall: Hall, data: Mapping[str, Json]) -> Digest:
    """Keep such a bundle in the state folder and return its digest."""
    return bundles.keep(hall.settings.state, written(hall.folder / "rules", data))


def wanted(hall: Hall, digest: Digest, *, serial: int = 1, guard: str = "") -> Activation:
    """Return the change of rules from the shipped bundle to this one."""
    return Activation(digest, bundle.load().manifest.digest, serial, guard or hall.opened.verifier())


def enforced(hall: Hall, digest: Digest, *people: str, change: Activation | None = None, key: str = "") -> None:
    """Write the event that puts a bundle in force, signed by these people, past every check."""
    asked = change or wanted(hall, digest)
    signed = [Signature(by, hall.signed(PURPOSE, asked.subject, by, key=key)) for by in people or ("alice", "bob")]
    hall.append(STREAM, activated(asked, signed))


def in_force(hall: Hall) -> Digest:
    """Return the bundle that the worker judges by. Raises: EvoguardError when it cannot be proved."""
    return hall.driver.book.policies().digest
