"""Runs in the sandbox: make a wheel of the one source archive in the working folder, with what the layers hold.

Everything after the archive is opened is in its hands; whoever takes the wheel believes nothing of it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import re
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

LEGACY = {"requires": ["setuptools"], "build-backend": "setuptools.build_meta:__legacy__"}
MISSING = 3
"""The exit status that says: something it needs to be built is not here."""


def unpack(archive: Path, into: Path) -> Path:
    """Return the one folder that an archive holds."""
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(into)  # noqa: S202  (in a sandbox made for this alone)
    else:
        with tarfile.open(archive) as packed:
            packed.extraction_filter = getattr(tarfile, "data_filter", None)  # Python before 3.11.4 has none
            packed.extractall(into)  # noqa: S202  (as above)
    (top,) = (path for path in into.iterdir() if path.is_dir())
    return top


def system(top: Path) -> dict[str, object]:
    """Return how the project says it is built."""
    project = top / "pyproject.toml"
    told = tomllib.loads(project.read_text(encoding="utf-8")).get("build-system") if project.is_file() else None
    return (
        {**LEGACY, **told} if told and "build-backend" in told else {**LEGACY, "requires": (told or LEGACY)["requires"]}
    )


def missing(requires: list[str]) -> list[str]:
    """Return the names that no layer holds; versions are whatever the layers have."""
    absent = []
    for wanted in requires:
        text, _, marker = wanted.partition(";")
        name = re.match(r"\s*([A-Za-z0-9._-]+)", text)
        if marker and _elsewhere(marker):
            continue
        try:
            importlib.metadata.version(name[1] if name else wanted)
        except importlib.metadata.PackageNotFoundError:
            absent.append(wanted)
    return absent


def _elsewhere(marker: str) -> bool:
    from packaging.markers import InvalidMarker, Marker

    try:
        return not Marker(marker).evaluate()
    except InvalidMarker:
        return False


def main() -> int:
    """Build it; the wheel is in `out`."""
    here = Path.cwd()
    (archive,) = (path for path in here.iterdir() if path.is_file())
    (here / "out").mkdir()
    Path("/tmp/source").mkdir()  # noqa: S108  (the sandbox's own)
    top = unpack(archive, Path("/tmp/source"))  # noqa: S108
    told = system(top)
    if absent := missing([str(one) for one in told["requires"]]):  # type: ignore[attr-defined]  # a list, or it fails here
        print("not here:", ", ".join(absent), file=sys.stderr)
        return MISSING
    os.chdir(top)
    os.environ["SOURCE_DATE_EPOCH"] = "315532800"  # the first day that a zip can tell
    sys.path[:0] = [str(top / one) for one in told.get("backend-path", ())]  # type: ignore[attr-defined]
    module, _, attribute = str(told["build-backend"]).partition(":")
    backend = importlib.import_module(module)
    for name in filter(None, attribute.split(".")):
        backend = getattr(backend, name)
    backend.build_wheel(str(here / "out"), {})
    return 0


if __name__ == "__main__":
    sys.exit(main())
