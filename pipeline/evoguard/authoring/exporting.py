"""A bundle as an OPA server loads it: rules and data of the same sources, named by the same digest."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Mapping
from hashlib import sha256

from evoguard import bundle
from evoguard.bundle import Bundle
from evoguard.domain.canonical import Json, canonical
from evoguard.errors import IntegrityError

MANIFEST = ".manifest"


def exported(loaded: Bundle, texts: Mapping[str, str]) -> bytes:
    """Return OPA's `bundle.tar.gz` of a bundle and its sources; the same bytes each time.

    Its revision is the bundle's digest, which every answer of the server then names; its roots are its own, so that
    nobody can put a rule or a number beside them over the server's API. The tests are not in it.
    Raises: IntegrityError when the sources are not those that the manifest names.
    """
    manifest = loaded.manifest
    if {path: sha256(text.encode()).hexdigest() for path, text in texts.items()} != dict(manifest.sources):
        raise IntegrityError(
            "policy bundle: its sources are not those that its manifest names", code="integrity.policies",
            fix="build it again: `evoguard policy build`",
        )  # fmt: skip
    data = json.loads(texts[bundle.DATA])
    files = {path: text.encode() for path, text in texts.items() if _is_rule(path)}
    doc: dict[str, Json] = {"revision": manifest.digest, "rego_version": 1, "roots": ["evoguard", *sorted(data)]}
    files |= {bundle.DATA: canonical(data), MANIFEST: canonical(doc)}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for path in sorted(files):
            entry = tarfile.TarInfo(f"/{path}")
            entry.size = len(files[path])
            tar.addfile(entry, io.BytesIO(files[path]))
    return gzip.compress(packed.getvalue(), mtime=0)


def _is_rule(path: str) -> bool:
    return path.endswith(".rego") and not path.endswith("_test.rego")
