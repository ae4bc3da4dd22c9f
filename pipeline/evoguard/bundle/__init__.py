"""The policy bundle that ships with the guard: compiled rules, data, tests, scan rules, and a manifest of digests.

Built by evoguard.authoring, read here. Nothing in this package judges; it only tells whether the files are the
ones that the manifest names, and whether the sources are the ones that the bundle was built from.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath

from evoguard.domain import calendar, exceptions, risk
from evoguard.domain.canonical import Digest, Json, as_digest, canonical, digest_of
from evoguard.errors import IntegrityError

MANIFEST, WASM, TESTS, DATA, SCAN = "manifest.json", "policy.wasm", "tests.wasm", "data.json", "semgrep.json"
SOURCES = "sources.json"
"""The texts that the bundle was built from, to start another one from; nothing of it is needed to judge."""
SIGNATURE = "signature.json"
"""A DSSE envelope over the bundle's digest, where its builder signed it; beside the bundle, and no part of it."""
MOST_BYTES = 64 << 20
"""Of one file of a bundle."""
MEND = "run deploy/build_policies.py"
_KEYS = frozenset(
    {
        "opa_version",
        "sources",
        "wasm",
        "tests_wasm",
        "data",
        "scan",
        "rules",
        "codes",
        "reads",
        "entrypoints",
        "tests",
        "digest",
    }
)
_SOURCES = ("*.rego", "data.json", "capabilities.json", "schema/input.json", "semgrep/*/*")


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a bundle claims to hold. `digest` names all of it: rules, data, capabilities, schema, engine, tests."""

    digest: Digest
    sources: Mapping[str, str]
    rules: tuple[str, ...]
    codes: Mapping[str, Mapping[str, str]]
    """Code → title, description, severity and source of the rule, for people who read a finding."""
    reads: Mapping[str, tuple[str, ...]]
    """Code → what of question and data the rule looks at, as `input.scan.status`."""
    entrypoints: tuple[str, ...]
    tests: tuple[str, ...]
    opa_version: str


@dataclass(frozen=True, slots=True)
class Bundle:
    """Verified bytes: every one matches the manifest's digest."""

    manifest: Manifest
    wasm: bytes
    tests_wasm: bytes
    data: bytes
    scan: bytes
    """The scanner's rules, as semgrep's configuration in JSON."""
    named: bytes
    """The canonical manifest without its own digest: the digest of these bytes is the bundle's name."""

    @property
    def numbers(self) -> Mapping[str, Json]:
        """Return the data as a table: numbers and lists that rules compare with."""
        return _data(self.data)

    @property
    def to_decide_again(self) -> tuple[bytes, ...]:
        """Return what a stranger needs to put a recorded question before these rules: manifest, rules, data."""
        return (self.named, self.wasm, self.data)


def load(folder: Path | None = None) -> Bundle:
    """Return the bundle in `folder`, by default the one shipped. Raises: IntegrityError when a file does not match."""
    home: Traversable = folder or files(__name__)
    doc = _manifest_doc(_read(home, MANIFEST))
    parts = {name: _read(home, name) for name in (WASM, TESTS, DATA, SCAN)}
    for name, key in ((WASM, "wasm"), (TESTS, "tests_wasm"), (DATA, "data"), (SCAN, "scan")):
        if digest_of(parts[name]) != doc[key]:
            raise _broken(f"{name} is not the file that the manifest names")
    manifest = _manifest(doc)
    data = _data(parts[DATA])
    if why := exceptions.wrong(data, manifest.codes):
        raise _broken(f"{DATA}: {why[0]}")
    if bad := risk.wrong(data) or calendar.wrong(data):
        raise _broken(f"{DATA}: {bad}")
    return Bundle(manifest, parts[WASM], parts[TESTS], parts[DATA], parts[SCAN], _named(doc))


def to_judge(manifest: bytes, wasm: bytes, data: bytes) -> Bundle:
    """Return a bundle of what judging needs alone, proved as `load` proves it; tests and scan rules are left empty.

    Raises: IntegrityError when a part is not the one that the manifest names.
    """
    doc = _manifest_doc(manifest)
    for name, raw, key in ((WASM, wasm, "wasm"), (DATA, data, "data")):
        if digest_of(raw) != doc[key]:
            raise _broken(f"{name} is not the file that the manifest names")
    found = _manifest(doc)
    if why := exceptions.wrong(_data(data), found.codes):
        raise _broken(f"{DATA}: {why[0]}")
    return Bundle(found, wasm, b"", data, b"", _named(doc))


def identity(doc: Mapping[str, Json]) -> Digest:
    """Return the digest that names a bundle: of the canonical manifest without its own digest."""
    return digest_of(_named(doc))


def _named(doc: Mapping[str, Json]) -> bytes:
    return canonical({key: value for key, value in doc.items() if key != "digest"})


def sources(folder: Path | None = None) -> dict[str, str]:
    """Return path → text of what the bundle in `folder` was built from, each text proved against the manifest.

    Raises: IntegrityError when one is missing, was changed, or is not one that the manifest names.
    """
    listed, home = load(folder).manifest.sources, folder or files(__name__)
    try:
        texts = json.loads(_read(home, SOURCES))
    except (ValueError, RecursionError) as err:
        raise _broken(f"{SOURCES} cannot be read") from err
    if not isinstance(texts, dict) or set(texts) != set(listed):
        raise _broken(f"{SOURCES} does not hold the files that the manifest names")
    for path, text in texts.items():
        if not isinstance(text, str) or sha256(text.encode("utf-8", "surrogatepass")).hexdigest() != listed[path]:
            raise _broken(f"{SOURCES}: {path[:200]!r} is not the text that the manifest names")
    return dict(sorted(texts.items()))


def is_source(path: str) -> bool:
    """Tell whether a bundle is built from a file at this path below policies/; what is hidden is no part of it."""
    asked = PurePosixPath(path)
    return not any(part.startswith(".") for part in asked.parts) and any(asked.match(known) for known in _SOURCES)


def source_digests(policies: Path) -> dict[str, str]:
    """Return path (below `policies`) → SHA-256 of every file that a bundle is built from."""
    found = {path.relative_to(policies).as_posix(): path for path in policies.rglob("*") if path.is_file()}
    return {path: sha256(found[path].read_bytes()).hexdigest() for path in sorted(found) if is_source(path)}


def stale_sources(policies: Path, bundle: Path | None = None) -> list[str]:
    """Return one line for each source file that differs from the manifest, is not listed or is missing.

    Empty means: the shipped rules are these sources. Raises: IntegrityError when the bundle itself does not hold.
    """
    listed, found = load(bundle).manifest.sources, source_digests(policies)
    lines = []
    for path in sorted(set(listed) | set(found)):
        if path not in found:
            lines.append(f"policies/{path}: in the bundle, but the file is missing")
        elif path not in listed:
            lines.append(f"policies/{path}: not in the bundle")
        elif found[path] != listed[path]:
            lines.append(f"policies/{path}: changed since the bundle was built")
    return lines


def _read(home: Traversable, name: str) -> bytes:
    try:
        if isinstance(home, Path) and home != files(__name__):  # an installer may link what it ships
            return read_file(home / name)
        return home.joinpath(name).read_bytes()
    except OSError as err:
        raise _broken(f"{name} is missing") from err


def read_file(path: Path) -> bytes:
    """Return a file's bytes. Raises: OSError; IntegrityError for what is no plain file, or larger than MOST_BYTES.

    A link or a pipe in its place could give other bytes at each look.
    """
    file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(file, "rb") as opened:
        if not stat.S_ISREG(os.fstat(file).st_mode):
            raise _broken(f"{path.name} is not a plain file")
        raw = opened.read(MOST_BYTES + 1)
    if len(raw) > MOST_BYTES:
        raise _broken(f"{path.name} is larger than {MOST_BYTES >> 20} MiB")
    return raw


def _data(raw: bytes) -> dict[str, Json]:
    try:
        doc = json.loads(raw)
    except (ValueError, RecursionError) as err:
        raise _broken(f"{DATA} cannot be read") from err
    return doc if isinstance(doc, dict) else {}


def _manifest_doc(raw: bytes) -> dict[str, Json]:
    try:
        doc = json.loads(raw)
        if not isinstance(doc, dict) or set(doc) != _KEYS or identity(doc) != doc["digest"]:
            raise _broken("the manifest does not match its own digest")
    except (ValueError, TypeError, RecursionError) as err:
        raise _broken("the manifest cannot be read") from err
    return doc


def _manifest(doc: Mapping[str, Json]) -> Manifest:
    manifest = Manifest(
        digest=as_digest(str(doc["digest"])),
        sources={path: str(digest) for path, digest in _table(doc["sources"]).items()},
        rules=_texts(doc["rules"]),
        codes={code: {k: str(v) for k, v in _table(about).items()} for code, about in _table(doc["codes"]).items()},
        reads={code: _texts(places) for code, places in _table(doc["reads"]).items()},
        entrypoints=_texts(doc["entrypoints"]),
        tests=_texts(doc["tests"]),
        opa_version=str(doc["opa_version"]),
    )
    if not manifest.rules or not manifest.tests or set(manifest.rules) != set(manifest.codes):
        raise _broken("the manifest lists no rules, no tests, or rules without a description")
    return manifest


def _table(value: Json) -> Mapping[str, Json]:
    if not isinstance(value, dict):
        raise _broken("the manifest has a table of another shape")
    return value


def _texts(value: Json) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _broken("the manifest has a list of another shape")
    return tuple(str(item) for item in value)


def _broken(message: str) -> IntegrityError:
    return IntegrityError(
        f"policy bundle: {message}", code="integrity.policies", fix=f"install evoguard again, or {MEND}"
    )
