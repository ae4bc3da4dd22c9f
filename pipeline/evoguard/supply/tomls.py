"""Python's TOML files: `pyproject.toml` with the tables that name dependencies, and the locks of uv and Poetry."""

from __future__ import annotations

import posixpath
import tomllib
from collections.abc import Iterator, Mapping

from packaging.version import InvalidVersion, Version

from evoguard.supply.python import normal, requirement
from evoguard.supply.types import Dependency, Fault, Origin, Read, decoded, file, line_of, short

Doc = Mapping[str, object]
_INDEXES = (("uv", "index"), ("poetry", "source"), ("pdm", "source"))
_LISTS = (
    "project.dependencies", "build-system.requires", "tool.uv.dev-dependencies", "tool.uv.constraint-dependencies",
    "tool.uv.override-dependencies",
)  # fmt: skip
_TABLES = ("project.optional-dependencies", "dependency-groups", "tool.pdm.dev-dependencies")


def pyproject(path: str, data: bytes) -> Read:
    """Return what a `pyproject.toml` names: of the project, its extras and groups, its build, and of known tools."""
    doc = loaded(path, data)
    if isinstance(doc, Fault):
        return Read(faults=(doc,))
    table, text = doc
    found: list[Dependency] = []
    faults: list[Fault] = []
    for said in _requirements(path, table, faults):
        file(requirement(said, path, line_of(text, said)), found, faults)
    found += _poetry(path, table, text, faults)
    sources = _sources(table)
    found = [_from_source(one, sources.get(one.name)) for one in found]
    found += _indexes(path, table, text)
    backend = _at(table, "build-system.backend-path")
    if backend is not None:
        found.append(
            Dependency("PyPI", "build back-end of its own", "backend-path", path, line_of(text, "backend-path"),
                       spec=short(str(backend)), pinned="digest", scripts=True, own=True)
        )  # fmt: skip
    includes = _dynamic(path, table, faults)
    return Read(tuple(found), tuple(faults), includes)


def lock(path: str, data: bytes) -> Read:
    """Return what `uv.lock`, `poetry.lock` or `pylock.toml` holds: each package with version, source and hashes."""
    doc = loaded(path, data)
    if isinstance(doc, Fault):
        return Read(faults=(doc,))
    table, _ = doc
    rows = table.get("package", table.get("packages"))
    if not isinstance(rows, list):
        return Read(faults=(Fault(path, "a lock without a list of packages"),))
    found: list[Dependency] = []
    faults: list[Fault] = []
    for row in rows:
        file(_locked(path, row), found, faults)
    return Read(tuple(found), tuple(faults))


def loaded(path: str, data: bytes) -> tuple[Doc, str] | Fault:
    """Return a TOML file's table and its text, or why it is none."""
    text = decoded(path, data)
    if isinstance(text, Fault):
        return text
    if data.startswith(b"\xef\xbb\xbf"):
        return Fault(path, "a byte order mark, which TOML does not allow")
    try:
        return tomllib.loads(text), text
    except (tomllib.TOMLDecodeError, RecursionError, ValueError) as err:
        return Fault(path, f"not TOML: {short(str(err), 80)}")


def _requirements(path: str, doc: Doc, faults: list[Fault]) -> Iterator[str]:
    for name in _LISTS:
        yield from _texts(path, name, _at(doc, name), faults)
    for name in _TABLES:
        groups = _at(doc, name)
        if groups is not None and not isinstance(groups, Mapping):
            faults.append(Fault(path, f"{name} is no table"))
        for group, rows in groups.items() if isinstance(groups, Mapping) else ():
            yield from _texts(path, f"{name}.{group}", rows, faults)
    environments = _at(doc, "tool.hatch.envs")
    for name, about in environments.items() if isinstance(environments, Mapping) else ():
        for key in ("dependencies", "extra-dependencies"):
            yield from _texts(path, f"tool.hatch.envs.{name}.{key}", _get(about, key), faults)


def _texts(path: str, name: str, rows: object, faults: list[Fault]) -> Iterator[str]:
    """Yield a list's texts; another group that it includes is read where it stands."""
    if rows is None:
        return
    if not isinstance(rows, list):
        faults.append(Fault(path, f"{short(name, 60)} is no list"))
        return
    for row in rows:
        if isinstance(row, str):
            yield row
        elif not (isinstance(row, Mapping) and set(row) == {"include-group"}):
            faults.append(Fault(path, f"{short(name, 60)} holds what is no requirement"))


def _poetry(path: str, doc: Doc, text: str, faults: list[Fault]) -> Iterator[Dependency]:
    groups = _at(doc, "tool.poetry.group")
    tables = [_at(doc, "tool.poetry.dependencies"), _at(doc, "tool.poetry.dev-dependencies")]
    tables += [_get(about, "dependencies") for about in groups.values()] if isinstance(groups, Mapping) else []
    for table in tables:
        if table is not None and not isinstance(table, Mapping):
            faults.append(Fault(path, "a table of Poetry's dependencies is none"))
            continue
        for name, about in table.items() if table else ():
            if name != "python":
                for one in about if isinstance(about, list) else [about]:
                    yield _poetry_one(path, str(name), one, line_of(text, f"\n{name} ", f"\n{name}=", f'"{name}"'))


def _poetry_one(path: str, name: str, about: object, line: int) -> Dependency:
    spec = about if isinstance(about, str) else str(_get(about, "version") or "")
    version = spec.removeprefix("==").strip() if _is_exact(spec) else ""
    for key, origin in (("git", "git"), ("url", "url"), ("path", "path"), ("file", "path")):
        where = _get(about, key)
        if isinstance(where, str):
            firm = key == "git" and len(str(_get(about, "rev") or "")) == 40
            return Dependency(
                "PyPI", normal(name), name, path, line, spec=short(spec), origin=_secure(where, origin),
                where=short(where), pinned="digest" if firm else "floating",
            )  # fmt: skip
    pinned = "version" if version else "floating"
    made = Dependency("PyPI", normal(name), name, path, line, version, short(spec), pinned=pinned)  # type: ignore[arg-type]  # one of Pinned
    return _from_source(made, {"index": _get(about, "source")} if _get(about, "source") else None)


def _is_exact(spec: str) -> bool:
    try:
        Version(spec.removeprefix("==").strip())
    except InvalidVersion:
        return False
    return True


def _sources(doc: Doc) -> dict[str, Doc]:
    """Return `tool.uv.sources` by project name: from where else uv takes it."""
    table = _at(doc, "tool.uv.sources")
    found: dict[str, Doc] = {}
    for name, about in table.items() if isinstance(table, Mapping) else ():
        rows = about if isinstance(about, list) else [about]
        merged: dict[str, object] = {}
        for row in rows:
            merged |= row if isinstance(row, Mapping) else {"index": "?"}
        found[normal(str(name))] = merged
    return found


def _from_source(one: Dependency, about: Doc | None) -> Dependency:
    if not about or about.get("workspace"):
        return one
    kinds = (("git", "git"), ("url", "url"), ("path", "path"), ("index", "other-index"))
    key, origin = next(((k, o) for k, o in kinds if about.get(k)), ("index", "other-index"))
    where = str(about.get(key, "?"))
    firm = key == "git" and len(str(about.get("rev") or "")) == 40
    return Dependency(
        one.ecosystem, one.name, one.said, one.path, one.line, one.version, one.spec, _secure(where, origin),
        short(where), "digest" if firm else one.pinned if key == "index" else "floating",
    )  # fmt: skip


def _secure(where: str, origin: str) -> Origin:
    kept: Origin = "insecure" if where.lower().startswith(("http://", "git://", "ftp://")) else origin  # type: ignore[assignment]  # a word of Origin
    return kept


def _indexes(path: str, doc: Doc, text: str) -> Iterator[Dependency]:
    for tool, key in _INDEXES:
        rows = _at(doc, f"tool.{tool}.{key}")
        for row in rows if isinstance(rows, list) else [rows] if isinstance(rows, Mapping) else []:
            where = short(str(_get(row, "url") or "?"))
            yield _index(path, f"tool.{tool}.{key}", where, line_of(text, where))
    for key in ("index-url", "extra-index-url", "find-links"):
        value = _at(doc, f"tool.uv.{key}")
        for said in value if isinstance(value, list) else [value] if value else []:
            yield _index(path, f"tool.uv.{key}", short(str(said)), line_of(text, str(said)))


def _index(path: str, name: str, where: str, line: int) -> Dependency:
    return Dependency(
        "PyPI", f"{name} {where}"[:120], name, path, line, origin="other-index", where=where, pinned="digest"
    )


def _dynamic(path: str, doc: Doc, faults: list[Fault]) -> tuple[str, ...]:
    """Return the files that setuptools reads dependencies from; dependencies that only code knows are a fault."""
    declared = _at(doc, "project.dynamic")
    if not isinstance(declared, list) or not {"dependencies", "optional-dependencies"} & {str(one) for one in declared}:
        return ()
    files: list[str] = []
    for value in _leaves(_at(doc, "tool.setuptools.dynamic"), "file"):
        files += [str(one) for one in value] if isinstance(value, list) else [str(value)]
    if not files:
        faults.append(Fault(path, "its dependencies are known to its build code only", kind="unsupported"))
    return tuple(posixpath.normpath(posixpath.join(posixpath.dirname(path), file)) for file in files)


def _leaves(doc: object, key: str) -> Iterator[object]:
    for name, value in doc.items() if isinstance(doc, Mapping) else ():
        if name == key:
            yield value
        else:
            yield from _leaves(value, key)


def _locked(path: str, row: object) -> Dependency | Fault | None:
    name, version = _get(row, "name"), _get(row, "version")
    if not isinstance(name, str) or not name or not isinstance(version, str | None):
        return Fault(path, "a package without a name")
    source = _get(row, "source")
    if any(_get(source, key) for key in ("editable", "virtual")):
        return None  # the project itself, or a member of its workspace
    origin: Origin = "index"
    where = ""
    for key, kind in (("git", "git"), ("url", "url"), ("path", "path"), ("directory", "path")):
        said = _get(source, key) or (key == _get(source, "type") and _get(source, "url"))
        if said:
            origin, where = _secure(str(said), kind), short(str(said))
    digests = tuple(sorted({hash_ for hash_ in _hashes(row)}))[:200]
    firm = bool(digests) or (origin == "git" and "#" in where)
    return Dependency(
        "PyPI", normal(name), name, path, 0, version or "", "", origin, where,
        "digest" if firm else "version" if version else "floating", locked=True, digests=digests,
    )  # fmt: skip


def _hashes(row: object) -> Iterator[str]:
    for key in ("files", "wheels", "sdist", "archive"):
        value = _get(row, key)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(found := _get(one, "hash"), str):
                yield found
            elif isinstance(hashes := _get(one, "hashes"), Mapping):
                yield from (f"{kind}:{digest}" for kind, digest in hashes.items())


def _at(doc: object, name: str) -> object:
    for part in name.split("."):
        doc = _get(doc, part)
    return doc


def _get(doc: object, key: str) -> object:
    return doc.get(key) if isinstance(doc, Mapping) else None
