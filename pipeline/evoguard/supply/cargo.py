"""Rust's `Cargo.toml` and `Cargo.lock`."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping

from evoguard.supply.tomls import loaded
from evoguard.supply.types import Dependency, Fault, Origin, Pinned, Read, file, line_of, short

Doc = Mapping[str, object]
TABLES = ("dependencies", "dev-dependencies", "build-dependencies")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}\Z")
_VERSION = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]{1,60})?(\+[0-9A-Za-z.-]{1,60})?\Z")
_CHECKSUM = re.compile(r"[0-9a-f]{64}\Z")
_COMMIT = re.compile(r"#[0-9a-f]{40}\Z")
_REGISTRY = ("registry+", "sparse+")


def manifest(path: str, data: bytes) -> Read:
    """Return what a `Cargo.toml` asks for, its patches of others' crates, and a build script, which cargo runs."""
    doc = loaded(path, data)
    if isinstance(doc, Fault):
        return Read(faults=(doc,))
    table, text = doc
    found: list[Dependency] = []
    faults: list[Fault] = []
    for name, rows in _tables(table):
        if not isinstance(rows, Mapping):
            faults.append(Fault(path, f"{short(name, 60)} is no table"))
            continue
        for key, about in rows.items():
            file(_asked(path, str(key), about, line_of(text, f"\n{key} ", f"\n{key}=", f'"{key}"')), found, faults)
    package = table.get("package")
    build = package.get("build") if isinstance(package, Mapping) else None
    if isinstance(build, str):
        found.append(
            Dependency("crates.io", f"build script {short(build, 60)}", "build", path, line_of(text, "build"),
                       spec=short(build), pinned="digest", scripts=True, own=True)
        )  # fmt: skip
    return Read(tuple(found), tuple(faults))


def lock(path: str, data: bytes) -> Read:
    """Return what a `Cargo.lock` holds, with checksum and source; a crate without a source is of the workspace."""
    doc = loaded(path, data)
    if isinstance(doc, Fault):
        return Read(faults=(doc,))
    table, text = doc
    rows = table.get("package", [])
    if not isinstance(rows, list) or not isinstance(table.get("version", 1), int):
        return Read(faults=(Fault(path, "a lock without a list of packages"),))
    usual = _usual(rows)
    sums = table.get("metadata")
    found: list[Dependency] = []
    faults: list[Fault] = []
    for row in rows:
        file(_held(path, row, usual, sums if isinstance(sums, Mapping) else {}, text), found, faults)
    return Read(tuple(found), tuple(faults))


def _tables(doc: Doc) -> Iterator[tuple[str, object]]:
    for name in TABLES:
        if name in doc:
            yield name, doc[name]
    workspace, targets, patches = (doc.get(name) for name in ("workspace", "target", "patch"))
    if isinstance(workspace, Mapping) and "dependencies" in workspace:
        yield "workspace.dependencies", workspace["dependencies"]
    for target, about in targets.items() if isinstance(targets, Mapping) else ():
        for name in TABLES:
            if isinstance(about, Mapping) and name in about:
                yield f"target.{target}.{name}", about[name]
    for source, rows in patches.items() if isinstance(patches, Mapping) else ():
        yield f"patch.{source}", rows
    if "replace" in doc:
        yield "replace", doc["replace"]


def _asked(path: str, key: str, about: object, line: int) -> Dependency | Fault | None:
    table: Doc = {"version": about} if isinstance(about, str) else about if isinstance(about, Mapping) else {}
    if not table:
        return Fault(path, f"{short(key, 60)} is no version and no table", line)
    if table.get("workspace") is True:
        return None
    said = str(table.get("package", key)).partition(":")[0]
    if not _NAME.match(said):
        return Fault(path, f"no name of a crate: {short(said, 60)}", line)
    spec = str(table.get("version", ""))
    origin: Origin = "index"
    where = ""
    for name, kind in (
        ("git", "git"),
        ("path", "path"),
        ("registry", "other-index"),
        ("registry-index", "other-index"),
    ):
        if isinstance(table.get(name), str):
            where = str(table[name])
            origin = "insecure" if where.startswith(("http://", "git://")) else kind  # type: ignore[assignment]  # one of Origin
            break
    exact = spec.removeprefix("=").strip() if spec.startswith("=") and _VERSION.match(spec[1:].strip()) else ""
    firm = origin == "git" and len(str(table.get("rev", ""))) == 40
    pinned: Pinned = "digest" if firm or origin == "path" else "version" if exact else "floating"
    return Dependency(
        "crates.io", normal(said), said, path, line, exact, short(spec, 100), origin, short(where), pinned,
        alias=key if said != key and "package" in table else "",
    )  # fmt: skip


def _usual(rows: list[object]) -> str:
    """Return the source that most crates come from: the project's index, by whatever name."""
    sources = Counter(
        str(row["source"]) for row in rows
        if isinstance(row, Mapping) and str(row.get("source", "")).startswith(_REGISTRY)
    )  # fmt: skip
    return sources.most_common(1)[0][0] if sources else ""


def _held(path: str, row: object, usual: str, sums: Doc, text: str) -> Dependency | Fault | None:
    table: Doc = row if isinstance(row, Mapping) else {}
    name, version, source, checksum = (table.get(key, "") for key in ("name", "version", "source", "checksum"))
    if not all(isinstance(one, str) for one in (name, version, source, checksum)) or not _NAME.match(str(name)):
        return Fault(path, f"what it tells of {short(str(name), 60)} has another form")
    name, version, source, checksum = str(name), str(version), str(source), str(checksum)
    line = line_of(text, f'name = "{name}"\nversion = "{version}"', f'name = "{name}"')
    if not _VERSION.match(version):
        return Fault(path, f"{short(name, 60)} has no version that a crate may have", line)
    if not source:
        return None  # a crate of the workspace itself, or a path: the tree holds it
    checksum = checksum or str(sums.get(f"checksum {name} {version} ({source})", ""))
    if checksum and not _CHECKSUM.match(checksum):
        return Fault(path, f"the checksum of {short(name, 60)} is none", line)
    origin = _origin(source, usual)
    firm = bool(checksum) or (origin == "git" and bool(_COMMIT.search(source)))
    return Dependency(
        "crates.io", normal(name), name, path, line, version, "", origin, "" if origin == "index" else short(source),
        "digest" if firm else "version", locked=True, digests=(f"sha256:{checksum}",) if checksum else (),
    )  # fmt: skip


def _origin(source: str, usual: str) -> Origin:
    address = source.partition("+")[2]
    if address.startswith(("http://", "git://")):
        return "insecure"
    if source.startswith("git+"):
        return "git"
    return "index" if source == usual else "other-index"


def normal(name: str) -> str:
    """Return a crate's name as the index compares names: `-` and `_` are one."""
    return name.lower().replace("_", "-")
