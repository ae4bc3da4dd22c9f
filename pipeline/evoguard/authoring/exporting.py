"""A bundle as an OPA server loads it: rules and data of the same sources, named by the same digest."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path

from evoguard import bundle
from evoguard.domain.canonical import Json, canonical

MANIFEST = ".manifest"


def exported(folder: Path | None = None) -> bytes:
    """Return OPA's `bundle.tar.gz` of a bundle, by default the shipped one; the same bytes each time.

    Its revision is the bundle's digest, which every answer of the server then names; its roots are its own, so that
    nobody can put a rule or a number beside them over the server's API. The tests are not in it.
    Raises: IntegrityError when the bundle does not hold.
    """
    manifest, texts = bundle.load(folder).manifest, bundle.sources(folder)
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
