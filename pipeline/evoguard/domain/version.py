"""A version: what one rollout brings to callers, named by the digest of its exact bytes; a commit names itself."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from evoguard.domain.canonical import Digest, Json, as_digest, canonical, digest_of
from evoguard.errors import InputError

Kind = Literal["commit", "prompt", "model", "config"]
KINDS: tuple[Kind, ...] = ("commit", "prompt", "model", "config")
MOST_FILES, MOST_PATH_CHARS = 20, 200
MOST_BYTES = 262_144
"""Of a version as it is stored: prompts and parameters, never weights."""
MOST_PAYLOAD_CHARS = 4_096
MOST_PARAMETERS = 50
_MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}\Z")
_MOVING = frozenset({"latest", "main", "master", "head", "stable", "default"})


@dataclass(frozen=True, slots=True)
class VersionFiles:
    """Which files of the repository make up a component's version; of a model, the first is its pin."""

    kind: Kind
    files: tuple[str, ...]

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        return {"kind": self.kind, "files": list(self.files)}


@dataclass(frozen=True, slots=True)
class Version:
    """A version's exact texts by path, of one component."""

    component: str
    kind: Kind
    files: Mapping[str, str]

    def packed(self) -> bytes:
        """Return the one byte string of this version; its digest is the version's name. Raises: InputError."""
        raw = canonical({"v": 1, "component": self.component, "kind": self.kind, "files": dict(self.files)})
        if len(raw) > MOST_BYTES:
            raise _bad(f"it is larger than {MOST_BYTES} bytes")
        return raw

    @property
    def digest(self) -> Digest:
        """Return the name of the version. Raises: InputError."""
        return digest_of(self.packed())


@dataclass(frozen=True, slots=True)
class Versions:
    """The two versions of one rollout, as its flag names them."""

    kind: Kind
    candidate: Digest
    known_good: Digest

    def as_json(self) -> dict[str, Json]:
        """Return them as plain JSON."""
        return {"kind": self.kind, "candidate": self.candidate, "known_good": self.known_good}


def declared(body: object) -> VersionFiles | None:
    """Read a component's `version` table; None and kind `commit` mean that the commit itself is the version.

    Raises: ValueError with what is wrong.
    """
    if body is None:
        return None
    if not isinstance(body, Mapping) or set(body) - {"kind", "files"}:
        raise ValueError("version is a table of kind and files")
    kind, files = body.get("kind"), body.get("files", [])
    if kind not in KINDS:
        raise ValueError(f"version.kind is one of {', '.join(KINDS)}")
    if not isinstance(files, list) or not all(isinstance(path, str) and _plain(path) for path in files):
        raise ValueError("version.files is a list of paths in the repository")
    if kind == "commit":
        if files:
            raise ValueError("version.files: a commit is its own version and lists no files")
        return None
    if not 1 <= len(files) <= MOST_FILES or len(set(files)) != len(files):
        raise ValueError(f"version.files lists 1 to {MOST_FILES} different paths")
    return VersionFiles(cast(Kind, kind), tuple(files))


def version_of(component: str, spec: VersionFiles, found: Mapping[str, bytes | None]) -> Version:
    """Return the version that these files make. Raises: InputError `version.*` for one that is missing or no text."""
    files: dict[str, str] = {}
    for path in spec.files:
        raw = found.get(path)
        if raw is None:
            raise InputError(f"{path} is not there, and belongs to the version", code="version.missing",
                             fix="commit it, or correct version.files on the base branch")  # fmt: skip
        try:
            files[path] = raw.decode("utf-8")
        except UnicodeDecodeError as err:
            raise _bad(f"{path} is not UTF-8") from err
    if spec.kind == "model":
        _pinned(spec.files[0], files[spec.files[0]])
    version = Version(component, spec.kind, files)
    version.packed()
    return version


def unpacked(raw: bytes) -> Version:
    """Return the version that these bytes are, and only if they are its one packing. Raises: InputError."""
    try:
        doc = json.loads(raw) if len(raw) <= MOST_BYTES else None
    except (ValueError, RecursionError) as err:
        raise _bad("it is not JSON") from err
    if not isinstance(doc, dict) or set(doc) != {"v", "component", "kind", "files"} or doc["v"] != 1:
        raise _bad("it has other fields")
    files, kind, component = doc["files"], doc["kind"], doc["component"]
    texts = isinstance(files, dict) and all(isinstance(text, str) for text in files.values())
    if not texts or kind not in KINDS or not isinstance(component, str):
        raise _bad("it has fields of another type")
    version = Version(component, kind, files)
    try:
        same = version.packed() == raw
    except ValueError as err:  # a lone surrogate
        raise _bad("it has a text that is none") from err
    if not same:
        raise _bad("it is packed otherwise")
    return version


def versions_from(doc: object) -> Versions:
    """Read what a flag names. Raises: ValueError for anything else than a kind and two digests."""
    if not isinstance(doc, Mapping) or set(doc) != {"kind", "candidate", "known_good"} or doc["kind"] not in KINDS:
        raise ValueError("versions are a kind, a candidate and a known_good")
    digests = (doc["candidate"], doc["known_good"])
    if not all(isinstance(one, str) for one in digests):
        raise ValueError("a version is named by its digest")
    candidate, known_good = (as_digest(one) for one in digests)
    return Versions(doc["kind"], candidate, known_good)


def versions_in(text: str) -> Versions | None:
    """Read the stored text of `Versions`; an empty one means that commits are rolled out. Raises: ValueError."""
    if len(text) > MOST_PAYLOAD_CHARS:
        raise ValueError("longer than any two digests")
    try:
        return versions_from(json.loads(text)) if text else None
    except RecursionError as err:
        raise ValueError("deeper than any two digests") from err


def _pinned(path: str, text: str) -> None:
    """Refuse a model that is not exactly one: an id that may move tomorrow is no version."""
    try:
        doc = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise _bad(f"{path} is not JSON") from err
    if not isinstance(doc, dict) or set(doc) != {"id", "parameters"}:
        raise _bad(f"{path} is an object of id and parameters")
    name, parameters = doc["id"], doc["parameters"]
    if not isinstance(name, str) or not _MODEL_ID.match(name):
        raise _bad(f"{path}: id is the plain name of a model, at most 200 characters")
    words = set(re.split(r"[:/@+._-]", name.lower()))
    if words & _MOVING or not any(char.isdigit() for char in name):
        raise _bad(f"{path}: the id {name[:40]!r} may mean another model tomorrow; name one fixed version")
    if not isinstance(parameters, dict) or len(parameters) > MOST_PARAMETERS:
        raise _bad(f"{path}: parameters is an object of at most {MOST_PARAMETERS}")
    if not all(value is None or isinstance(value, str | int | float | bool) for value in parameters.values()):
        raise _bad(f"{path}: a parameter is a text, a number or a boolean")


def _plain(path: str) -> bool:
    parts = path.split("/")
    return 0 < len(path) <= MOST_PATH_CHARS and path.isprintable() and not {"", ".", ".."} & set(parts)


def _bad(why: str) -> InputError:
    return InputError(f"no version: {why}", code="version.invalid", fix="correct the files that version.files names")
