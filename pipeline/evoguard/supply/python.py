"""One Python requirement (PEP 508, a URL or a path) as a dependency, as pip and uv read it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from urllib.parse import unquote, urlsplit

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import InvalidSdistFilename, InvalidWheelFilename, parse_sdist_filename, parse_wheel_filename

from evoguard.supply.types import Dependency, Fault, Origin, Pinned, short

_WORD = re.compile(r"[^\W\d_][\w.-]*")
_EGG = re.compile(r"[#&]egg=([^&\[]+)")
_COMMIT = re.compile(r"@[0-9a-fA-F]{40}(?:[#?].*)?\Z")
_EXACT = re.compile(r"[0-9A-Za-z.!+_-]+\Z")
_VCS = ("git+", "hg+", "svn+", "bzr+")


def normal(name: str) -> str:
    """Return a Python project's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def requirement(
    text: str, path: str, line: int, hashes: Sequence[str] = (), *, locked: bool = False
) -> Dependency | Fault:
    """Return the dependency of one requirement, or why nobody can tell what it is."""
    text = text.strip()
    if _is_place(text):
        return _placed(text, path, line, hashes, locked=locked)
    try:
        found = Requirement(text)
    except (InvalidRequirement, RecursionError, ValueError):
        return Fault(path, f"no requirement: {short(text, 80)}", line)
    if found.url:
        return _placed(found.url, path, line, hashes, name=found.name, locked=locked)
    version = exact(found)
    pinned: Pinned = "digest" if version and hashes else "version" if version else "floating"
    extras = f"[{','.join(sorted(found.extras))}]" if found.extras else ""
    marker = f"; {found.marker}" if found.marker else ""
    return Dependency(
        "PyPI", normal(found.name), found.name, path, line, version, short(f"{extras}{found.specifier}{marker}"),
        pinned=pinned, locked=locked, digests=tuple(sorted(hashes)),
    )  # fmt: skip


def exact(found: Requirement) -> str:
    """Return the one version that a requirement allows, or an empty text."""
    pins = [one for one in found.specifier if one.operator in ("==", "===")]
    texts = {pin.version for pin in pins}
    return texts.pop() if len(texts) == 1 and not pins[0].version.endswith("*") else ""


def odd_name(text: str, path: str, line: int) -> Dependency | None:
    """Return what a line seems to name when its letters are none that a name may have: a look-alike, then."""
    word = _WORD.match(text.strip())
    if word is None or word.group().isascii():
        return None
    return Dependency("PyPI", word.group().lower(), word.group(), path, line, spec=short(text, 80))


def _is_place(text: str) -> bool:
    lowered = text.lower()
    if lowered.startswith((*_VCS, "http://", "https://", "file:", "ftp://", "./", "../", "/", "~", ".")):
        return True
    bare = lowered.split("#")[0].split(";")[0].strip()
    return "@" not in text and (bare.endswith((".whl", ".tar.gz", ".zip", ".tgz", ".tar.bz2")) or "/" in bare)


def _placed(
    url: str, path: str, line: int, hashes: Sequence[str], *, name: str = "", locked: bool = False
) -> Dependency:
    """Return a requirement that names a place. Only a full commit id or a hash pins it."""
    lowered = url.lower()
    origin: Origin = "path"
    if lowered.startswith(_VCS):
        origin = "git"
    elif lowered.startswith(("http://", "ftp://")):
        origin = "insecure"
    elif lowered.startswith("https://"):
        origin = "url"
    if "+http://" in lowered or "git+git://" in lowered:
        origin = "insecure"
    firm = bool(hashes) or "#sha256=" in lowered or (origin == "git" and bool(_COMMIT.search(url)))
    said = name or _named(url)
    return Dependency(
        "PyPI", normal(said) if said.isascii() else said, said, path, line, _version(url), short(url), origin,
        _without_user(url), "digest" if firm else "floating", locked=locked, digests=tuple(sorted(hashes)),
    )  # fmt: skip


def _named(url: str) -> str:
    if egg := _EGG.search(url):
        return unquote(egg.group(1)).strip()
    file = unquote(urlsplit_path(url)).rstrip("/").rpartition("/")[2]
    file = re.sub(r"(\.git)?(@[^@]*)?\Z", "", file)
    try:
        return parse_wheel_filename(file)[0] if file.endswith(".whl") else parse_sdist_filename(file)[0]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return short(file or url, 80)


def _version(url: str) -> str:
    file = unquote(urlsplit_path(url)).rpartition("/")[2]
    try:
        found = parse_wheel_filename(file)[1] if file.endswith(".whl") else parse_sdist_filename(file)[1]
    except (InvalidWheelFilename, InvalidSdistFilename):
        return ""
    text = str(found)
    return text if _EXACT.match(text) else ""


def urlsplit_path(url: str) -> str:
    """Return the path of a URL; of what is none, the text itself."""
    try:
        return urlsplit(url).path
    except ValueError:
        return url


def _without_user(url: str) -> str:
    """Return a URL without the name and password that may stand in it."""
    return short(re.sub(r"//[^/@]*@", "//", url))
