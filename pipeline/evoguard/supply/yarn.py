"""The locks of yarn and pnpm, read by lines and as YAML nodes; nothing is constructed from them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import yaml  # type: ignore[import-untyped]  # the package has no types of its own

from evoguard.supply.npm import host_of, resolved_origin
from evoguard.supply.types import Dependency, Fault, Origin, Pinned, Read, decoded, file, short
from evoguard.supply.workflows import forbidden

MOST_NODES, MOST_DEPTH = 2_000_000, 30
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NAME = re.compile(r"(@[a-zA-Z0-9._~-]+/)?[a-zA-Z0-9._~-]+\Z")
_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\Z")
_INTEGRITY = re.compile(r"(sha512|sha384|sha256|sha1)-[A-Za-z0-9+/]+={0,2}\Z")
_CHECKSUM = re.compile(r"(?:[0-9a-z]+/)?[0-9a-f]{128}\Z")
_COMMIT = re.compile(r"(#|commit=|/)[0-9a-f]{40}\Z")
Rows = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Entry:
    """One entry of a lock: what asks for it, what is told of it (texts only), its line."""

    asked: tuple[str, ...]
    told: Rows
    line: int


def yarn(path: str, data: bytes) -> Read:
    """Return what a `yarn.lock` holds; a key that stands twice or a line that is none is a fault."""
    text = decoded(path, data)
    if isinstance(text, Fault):
        return Read(faults=(text,))
    if "\n__metadata:" in f"\n{text}":
        entries = _mapped(path, text, MOST_NODES)
        return entries if isinstance(entries, Read) else _yarn(path, entries)
    faults: list[Fault] = []
    entries = list(_lines(path, text, faults))
    got = _yarn(path, entries)
    return Read(got.dependencies, (*faults, *got.faults))


def pnpm(path: str, data: bytes) -> Read:
    """Return what a `pnpm-lock.yaml` holds under `packages`, each with its integrity or its tarball."""
    text = decoded(path, data)
    if isinstance(text, Fault):
        return Read(faults=(text,))
    entries = _mapped(path, text, MOST_NODES, below="packages")
    if isinstance(entries, Read):
        return entries
    found: list[Dependency] = []
    faults: list[Fault] = []
    usual = _usual(entries, "tarball")
    for entry in entries:
        file(_of_pnpm(path, entry, usual), found, faults)
    return Read(tuple(found), tuple(faults))


def _yarn(path: str, entries: list[_Entry]) -> Read:
    found: list[Dependency] = []
    faults: list[Fault] = []
    usual = _usual(entries, "resolved")
    seen: set[str] = set()
    for entry in entries:
        for twice in seen.intersection(entry.asked):
            faults.append(Fault(path, f"the key {short(twice, 60)} stands twice", entry.line))
        seen.update(entry.asked)
        if entry.asked != ("__metadata",):
            file(_of_yarn(path, entry, usual), found, faults)
    return Read(tuple(found), tuple(faults))


def _lines(path: str, text: str, faults: list[Fault]) -> Iterator[_Entry]:
    """Yield the entries of version 1, whose form is its own: a key, then lines indented by two."""
    asked: tuple[str, ...] = ()
    told: dict[str, str] = {}
    began = 0
    for number, line in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        if not line.strip() or line.startswith("#"):
            continue
        if not line.startswith(" "):
            if asked:
                yield _Entry(asked, told, began)
            asked, told, began = _keys(line), {}, number
            if not asked:
                faults.append(Fault(path, "a line that is no key", number))
        elif line.startswith("  ") and not line.startswith("   "):
            key, _, value = line.strip().partition(" ")
            if key in told:
                faults.append(Fault(path, f"the key {short(key, 60)} stands twice", number))
            told[key.strip('"')] = value.strip().strip('"')
        elif not line.startswith("    "):
            faults.append(Fault(path, "a line of no form that yarn writes", number))
    if asked:
        yield _Entry(asked, told, began)


def _keys(line: str) -> tuple[str, ...]:
    if not line.endswith(":"):
        return ()
    return tuple(part.strip().strip('"') for part in line[:-1].split(",") if part.strip())


def _mapped(path: str, text: str, most: int, below: str = "") -> list[_Entry] | Read:
    """Return the entries of a YAML lock, or the fault of one that readers take differently."""
    try:
        if odd := forbidden(path, text, most, MOST_DEPTH):
            return Read(faults=(odd,))
        root = yaml.compose(text, Loader=_LOADER)
        rows = _pairs(path, root)
        if below:
            rows = _pairs(path, next((node for key, node, _ in rows if key == below), None))
        return [
            _Entry(tuple(part.strip() for part in key.split(",")), _texts(path, node), line) for key, node, line in rows
        ]
    except (yaml.YAMLError, RecursionError, ValueError) as err:
        why = str(err) if isinstance(err, _LockError) else f"not YAML: {type(err).__name__}"
        return Read(faults=(Fault(path, short(why, 120)),))


class _LockError(ValueError):
    """A lock that is not of the form that its tool writes."""


def _pairs(path: str, node: yaml.Node | None) -> list[tuple[str, yaml.Node, int]]:
    del path
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode):
        raise _LockError("what should be a table is none")
    rows = [(str(key.value), value, key.start_mark.line + 1) for key, value in node.value]
    twice = [key for key, times in Counter(key for key, _, _ in rows).items() if times > 1]
    if twice:
        raise _LockError(f"the key {short(twice[0], 60)} stands twice")
    return rows


def _texts(path: str, node: yaml.Node) -> Rows:
    """Return an entry's texts, and those of its `resolution`, which pnpm writes as a table."""
    told: dict[str, str] = {}
    for key, value, _ in _pairs(path, node):
        if isinstance(value, yaml.ScalarNode):
            told[key] = str(value.value)
        elif key == "resolution":
            told |= {name: str(one.value) for name, one, _ in _pairs(path, value) if isinstance(one, yaml.ScalarNode)}
    return told


def _usual(entries: list[_Entry], key: str) -> str:
    hosts = Counter(host_of(entry.told.get(key, "")) for entry in entries)
    hosts.pop("", None)
    return hosts.most_common(1)[0][0] if hosts else ""


def _of_yarn(path: str, entry: _Entry, usual: str) -> Dependency | Fault | None:
    said = entry.asked[0]
    asked, _, spec = said.rpartition("@") if "@" in said[1:] else (said, "", "")
    if "@" in asked[1:]:  # `name@npm:other@1`: what it is called, and what it is
        asked, _, spec = said[:1] + said[1:].partition("@")[0], "@", said[1:].partition("@")[2]
    version, resolution = entry.told.get("version", ""), entry.told.get("resolution", "")
    real = _real(asked, spec, resolution)
    if entry.told.get("linkType") == "soft" or spec.startswith(("workspace:", "link:", "portal:")):
        return None
    if not _NAME.match(real) or not _VERSION.match(version):
        return Fault(path, f"{short(said, 60)} has no name or version that a package may have", entry.line)
    resolved = entry.told.get("resolved", "").partition("#")[0] if "resolved" in entry.told else ""
    origin = _berry(resolution) if resolution else resolved_origin(real, version, resolved, usual)
    digests = _digests(entry.told.get("integrity", ""), entry.told.get("checksum", ""))
    where = "" if origin == "index" else short(resolution or resolved)
    return _made(
        path, entry, (real, asked, version), (origin, where), digests, entry.told.get("resolved", "") or resolution
    )


def _real(asked: str, spec: str, resolution: str) -> str:
    """Return which package it is: an alias installs another one under the name that is asked for."""
    if resolution:
        return resolution[:1] + resolution[1:].partition("@")[0]
    return spec[4:].rpartition("@")[0] if spec.startswith("npm:") and "@" in spec[5:] else asked


def _berry(resolution: str) -> Origin:
    """Return where later versions of yarn take a package: they write the way, not the address, for their index."""
    way = resolution[1:].partition("@")[2].lower()
    if way.startswith(("npm:", "patch:")):
        return "index" if "::__archiveurl=" not in way else "url"
    if way.startswith(("http://", "git://", "git+http://")):
        return "insecure"
    if way.startswith(("git", "ssh:")) or ".git#" in way:
        return "git"
    return "path" if way.startswith(("file:", "./", "../", "/")) else "url"


def _of_pnpm(path: str, entry: _Entry, usual: str) -> Dependency | Fault | None:
    said = ",".join(entry.asked).removeprefix("/").partition("(")[0]
    name, _, version = said.rpartition("@") if "@" in said[1:] else said.rpartition("/")
    name, version = entry.told.get("name", name), entry.told.get("version", version.partition("_")[0])
    if entry.told.get("type") == "directory" or version.startswith(("link:", "file:")):
        return None
    tarball = entry.told.get("tarball", "")
    if not _VERSION.match(version) and ("://" in said or "/" in version):
        tarball, version = tarball or said, "0.0.0"
        name = entry.told.get("name", said[:1] + said[1:].partition("@")[0])
    if not _NAME.match(name) or not _VERSION.match(version):
        return Fault(path, f"{short(said, 60)} has no name or version that a package may have", entry.line)
    git = entry.told.get("type") == "git" or "commit" in entry.told
    origin: Origin = "git" if git else resolved_origin(name, version, tarball, usual) if tarball else "index"
    digests = _digests(entry.told.get("integrity", ""), "")
    held = entry.told.get("commit", "") and f"#{entry.told['commit']}"
    return _made(path, entry, (name, name, version), (origin, "" if origin == "index" else short(tarball)), digests,
                 held or tarball)  # fmt: skip


def _digests(integrity: str, checksum: str) -> tuple[str, ...]:
    words = integrity.split()
    if words and all(_INTEGRITY.match(word) for word in words):
        return tuple(words)
    return (f"sha512:{checksum.rpartition('/')[2]}",) if _CHECKSUM.match(checksum) else ()


def _made(
    path: str, entry: _Entry, names: tuple[str, str, str], came: tuple[Origin, str], digests: tuple[str, ...], at: str
) -> Dependency:
    real, asked, version = names
    weak = all(one.startswith("sha1-") for one in digests)
    firm = bool(digests and not weak) or (came[0] == "git" and bool(_COMMIT.search(at)))
    pinned: Pinned = "digest" if firm else "version"
    scripts = entry.told.get("requiresBuild") == "true"
    alias = asked if asked != real else ""
    return Dependency(
        "npm", real, real, path, entry.line, "" if version == "0.0.0" else version, "", came[0], came[1], pinned,
        scripts, "", alias, locked=True, digests=digests,
    )  # fmt: skip
