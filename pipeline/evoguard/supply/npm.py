"""npm's files: `package.json` and the lock, each on its own and against the other."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from evoguard.supply.semver import satisfies
from evoguard.supply.types import Dependency, Fault, Origin, Pinned, Read, decoded, line_of, short

Doc = Mapping[str, object]
TABLES = ("dependencies", "devDependencies", "optionalDependencies", "peerDependencies")
HOOKS = ("preinstall", "install", "postinstall", "prepare", "preprepare", "postprepare", "prepublish", "dependencies")
"""Scripts that npm runs by itself when the project is installed."""
_EXACT = re.compile(r"=?v?\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?(\+[0-9A-Za-z.-]+)?\Z")
_GITHUB = re.compile(r"[\w.-]+/[\w.-]+(#.*)?\Z")
_INTEGRITY = re.compile(r"(sha512|sha384|sha256)-[A-Za-z0-9+/]+={0,2}")
_NAME = re.compile(r"(@[a-zA-Z0-9._~-]+/)?[a-zA-Z0-9._~-]+\Z")
MOST_DEPTH = 40


class _TwiceError(ValueError):
    """A key that stands twice: readers take the first or the last."""


def manifest(path: str, data: bytes) -> Read:
    """Return what a `package.json` asks for, and the scripts that run when it is installed."""
    doc = loaded(path, data)
    if isinstance(doc, Fault):
        return Read(faults=(doc,))
    text = data.decode("utf-8")
    found: list[Dependency] = []
    faults: list[Fault] = []
    for table in (*TABLES, "resolutions", "overrides"):
        rows = doc.get(table)
        if rows is not None and not isinstance(rows, Mapping):
            faults.append(Fault(path, f"{table} is no table"))
            continue
        for name, spec in _flat(rows, MOST_DEPTH) if rows else ():
            if not isinstance(spec, str) or not name:
                faults.append(Fault(path, f"{table} holds what is no version: {short(name, 60)}"))
            else:
                found.append(_asked(path, name, spec, line_of(text, f'"{name}"')))
    scripts = doc.get("scripts")
    hooks = [hook for hook in HOOKS if isinstance(scripts, Mapping) and scripts.get(hook)]
    for hook in hooks:
        found.append(
            Dependency("npm", f"script {hook}", hook, path, line_of(text, f'"{hook}"'), spec=short(str(scripts[hook])),  # type: ignore[index]  # a table, above
                       pinned="digest", scripts=True, own=True)
        )  # fmt: skip
    return Read(tuple(found), tuple(faults))


def lock(path: str, data: bytes) -> Read:
    """Return what a lock of version 1 to 3 holds; each entry's address must be its own package's at the usual place."""
    doc = loaded(path, data)
    if isinstance(doc, Fault):
        return Read(faults=(doc,))
    version, packages, tree = doc.get("lockfileVersion"), doc.get("packages"), doc.get("dependencies")
    if version not in (1, 2, 3) or isinstance(version, bool):
        return Read(faults=(Fault(path, "a lock of an unknown version"),))
    if version == 1:
        entries = list(_tree(tree, 0)) if isinstance(tree, Mapping) or tree is None else None
    else:
        entries = list(_packages(packages)) if isinstance(packages, Mapping) else None
    if entries is None:
        return Read(faults=(Fault(path, "a lock without its packages"),))
    text = data.decode("utf-8")
    host = _usual(entries)
    found: list[Dependency] = []
    faults: list[Fault] = []
    for key, name, alias, about in entries:
        one = _held(path, (name, alias), about, host)
        if isinstance(one, Fault):
            faults.append(Fault(path, one.why, line_of(text, f'"{key}"')))
        elif one is not None:
            found.append(one)
    if version != 1 and isinstance(tree, Mapping):
        faults += _two_tables(path, tree, found)
    return Read(tuple(found), tuple(faults))


def disagreements(path: str, data: bytes, asked: Mapping[str, object] | Fault) -> Iterator[Fault]:
    """Yield where a lock does not hold what the manifest beside it asks for: one of them is not what gets installed."""
    doc = loaded(path, data)
    if isinstance(doc, Fault) or isinstance(asked, Fault):
        return
    packages = doc.get("packages")
    root = packages.get("") if isinstance(packages, Mapping) else None
    held = {name: str(about.get("version", "")) for _, name, _, about in _top(doc)}
    for table in TABLES:
        rows = asked.get(table)
        for name, spec in rows.items() if isinstance(rows, Mapping) else ():
            said = root.get(table) if isinstance(root, Mapping) else None
            if root is not None and (not isinstance(said, Mapping) or said.get(name) != spec):
                yield Fault(path, f"it was made for another manifest: {short(str(name), 60)}")
            elif table in ("dependencies", "devDependencies") and name not in held:
                yield Fault(path, f"it lacks {short(str(name), 60)}, which its manifest asks for")
            elif name in held and isinstance(spec, str) and satisfies(held[name], spec) is False:
                yield Fault(path, f"its {short(str(name), 60)} is not what its manifest asks for")


def loaded(path: str, data: bytes) -> Doc | Fault:
    """Return a JSON file's table; a key that stands twice, which readers take differently, is a fault."""
    text = decoded(path, data)
    if isinstance(text, Fault):
        return text
    try:
        doc = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except _TwiceError as err:
        return Fault(path, f"the key {short(str(err), 60)} stands twice")
    except (ValueError, RecursionError) as err:
        return Fault(path, f"not JSON: {short(str(err), 80)}")
    return doc if isinstance(doc, dict) else Fault(path, "no JSON table")


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise _TwiceError(next(name for name, times in Counter(k for k, _ in pairs).items() if times > 1))
    return made


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is no JSON")


def _flat(rows: Doc, depth: int) -> Iterator[tuple[str, object]]:
    """Yield names and versions; overrides may stand inside each other, `.` means the name above."""
    for name, spec in rows.items():
        if isinstance(spec, Mapping) and depth:
            inner = spec.get(".")
            if inner is not None:
                yield name, inner
            yield from _flat({k: v for k, v in spec.items() if k != "."}, depth - 1)
        else:
            yield name.rpartition("/")[2] if "**" in name else name, spec


def _asked(path: str, name: str, spec: str, line: int) -> Dependency:
    said, alias, spec = name, "", spec.strip()
    if spec.startswith("npm:"):
        said, _, spec = spec[4:].rpartition("@") if "@" in spec[5:] else (spec[4:], "", "*")
        alias = name
    origin = _origin(spec)
    firm = origin == "git" and bool(re.search(r"#[0-9a-f]{40}\Z", spec))
    version = spec.lstrip("=v") if origin == "index" and _EXACT.match(spec) else ""
    pinned: Pinned = "digest" if firm or spec.startswith(("workspace:", "$")) else "version" if version else "floating"
    where = "" if origin == "index" else short(re.sub(r"//[^/@]*@", "//", spec))
    return Dependency(
        "npm", said, said, path, line, version, short(spec, 100), origin, where, pinned, alias=alias,
    )  # fmt: skip


def _origin(spec: str) -> Origin:
    lowered = spec.lower()
    if lowered.startswith(("http://", "git://", "git+http://")):
        return "insecure"
    if lowered.startswith(("git+", "git@", "github:", "gitlab:", "bitbucket:", "gist:")) or _GITHUB.match(spec):
        return "git"
    if lowered.startswith("https://"):
        return "git" if lowered.split("#")[0].endswith(".git") else "url"
    if lowered.startswith(("file:", "link:", "portal:", "./", "../", "/", "~/")):
        return "path"
    return "index"


Entry = tuple[str, str, str, Doc]
"""Key in the lock, the package's name, the name it is installed under when that is another one, what is told of it."""


def _packages(packages: Doc) -> Iterator[Entry]:
    for key, about in packages.items():
        at = key.rfind("node_modules/")
        if at < 0:
            continue  # the project itself, or a folder of its workspace
        under = key[at + len("node_modules/") :]
        table = about if isinstance(about, Mapping) else {"": "no table"}
        name = table.get("name")
        real = name if isinstance(name, str) else under
        yield key, real, under if real != under else "", table


def _tree(rows: object, depth: int) -> Iterator[Entry]:
    for name, about in rows.items() if isinstance(rows, Mapping) else ():
        table = about if isinstance(about, Mapping) and depth < MOST_DEPTH else {"": "no table"}
        version = str(table.get("version", ""))
        if version.startswith("npm:"):
            real, _, exact = version[4:].rpartition("@")
            yield name, real, name, {**table, "version": exact}
        else:
            yield name, name, "", table
        yield from _tree(table.get("dependencies"), depth + 1)


def _top(doc: Doc) -> Iterator[Entry]:
    """Yield what a lock installs directly below the project."""
    packages = doc.get("packages")
    if isinstance(packages, Mapping):
        for entry in _packages(packages):
            if entry[0].count("node_modules/") == 1 and entry[0].startswith("node_modules/"):
                yield entry[0], entry[2] or entry[1], "", entry[3]
    else:
        tree = doc.get("dependencies")
        for name, about in tree.items() if isinstance(tree, Mapping) else ():
            yield name, name, "", about if isinstance(about, Mapping) else {}


def _usual(entries: list[Entry]) -> str:
    """Return the host that most entries come from: the project's index, by whatever name."""
    hosts = Counter(host_of(str(about.get("resolved", ""))) for _, _, _, about in entries)
    hosts.pop("", None)
    return hosts.most_common(1)[0][0] if hosts else ""


def host_of(url: str) -> str:
    """Return the host of an address, without whoever signs in there; empty for what is none."""
    try:
        parts = urlsplit(url)
        return parts.netloc.rpartition("@")[2].lower() if parts.scheme in ("https", "http") else ""
    except ValueError:
        return ""


def _held(path: str, names: tuple[str, str], about: Doc, host: str) -> Dependency | Fault | None:
    name, alias = names
    version, resolved, integrity = (about.get(key, "") for key in ("version", "resolved", "integrity"))
    if "" in about or not all(isinstance(one, str) for one in (version, resolved, integrity)):
        return Fault(path, f"what it tells of {short(name, 60)} has another form")
    if about.get("link") is True or ((about.get("inBundle") or about.get("bundled")) and not resolved):
        return None
    if not _NAME.match(name) or not version:
        return Fault(path, f"{short(name, 60)} has no name or version that a package may have")
    digests = tuple(_INTEGRITY.findall(str(integrity)) and str(integrity).split())
    origin, licence = resolved_origin(name, str(version), str(resolved), host), about.get("license")
    firm = digests and all(_INTEGRITY.fullmatch(one) for one in digests)
    firm = firm or (origin == "git" and bool(re.search(r"#[0-9a-f]{40}\Z", str(resolved))))
    return Dependency(
        "npm", name, name, path, 0, str(version), "", origin, "" if origin == "index" else short(str(resolved)),
        "digest" if firm else "version", bool(about.get("hasInstallScript")), _licence(licence), alias, locked=True,
        digests=digests,
    )  # fmt: skip


def resolved_origin(name: str, version: str, resolved: str, host: str) -> Origin:
    """Return where an entry of a lock comes from; `host`: the one that the project takes most from."""
    if not resolved:
        return "index"
    lowered = resolved.lower()
    if lowered.startswith(("http://", "git://", "git+http://")):
        return "insecure"
    if lowered.startswith(("git+", "git@", "github:")):
        return "git"
    if lowered.startswith("file:") or not lowered.startswith("https://"):
        return "path"
    if host_of(resolved) != host:
        return "other-index"
    short_name = name.rpartition("/")[2]
    path = re.sub(r"[?#].*", "", resolved).replace("%2f", "/").replace("%2F", "/").replace("%40", "@")
    fits = path.endswith(f"/{name}/-/{short_name}-{version.partition('+')[0]}.tgz")
    return "index" if fits else "url" if "/-/" not in path else "mismatch"


def _licence(value: object) -> str:
    if isinstance(value, Mapping):
        value = value.get("type")
    return short(value, 120) if isinstance(value, str) else ""


def _two_tables(path: str, tree: Doc, found: list[Dependency]) -> Iterator[Fault]:
    """Yield what the table for older readers holds and the one for newer readers does not: each installs its own."""
    new = {(one.name, one.version) for one in found} | {(one.alias, one.version) for one in found if one.alias}
    for _, name, _, about in _tree(tree, 0):
        version = str(about.get("version", ""))
        if _EXACT.match(version) and (name, version) not in new and not about.get("bundled"):
            yield Fault(path, f"its two tables disagree on {short(name, 60)}")
