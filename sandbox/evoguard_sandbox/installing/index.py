"""A source archive, as bytes: from where pip is configured to look, taken only when its hash is in the lock.

pip itself would run an archive's code to learn its name, so it is never asked for one. The hash decides what is taken;
where it lay, and what the index says of it, is not believed.
"""

from __future__ import annotations

import ast
import hashlib
import json
import ssl
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

from evoguard_sandbox.installing.locks import Pin, normal

SOURCES = (".tar.gz", ".zip")
MOST_PAGE_BYTES, MOST_SOURCE_BYTES, ASK_S, CONFIG_S = 64 << 20, 64 << 20, 60, 60
ACCEPT = "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
DEFAULT = "from pip._internal.models.index import PyPI; print(PyPI.simple_url)"
SECTIONS = ("global", "download", ":env:")
"""Where pip keeps a setting, the last one that has it counts."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where to look: indexes by address, folders, and the certificates to trust."""

    indexes: tuple[str, ...]
    folders: tuple[Path, ...] = ()
    certificates: str = ""


def places() -> Places:
    """Return where pip looks, by its own settings. Raises: OSError, subprocess.SubprocessError or ValueError."""
    told = settings(_pip("-m", "pip", "config", "list"))
    words = [word.removeprefix("file://") for word in told.get("find-links", "").split()]
    folders = [Path(word) for word in words if word.startswith("/")]
    if told.get("no-index", "").lower() in ("1", "true", "yes", "on"):
        return Places((), tuple(folders))
    first = told.get("index-url") or _pip("-c", DEFAULT).strip()
    return Places((first, *told.get("extra-index-url", "").split()), tuple(folders), told.get("cert", ""))


def settings(text: str) -> dict[str, str]:
    """Return pip's settings as `pip config list` prints them."""
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        section, dot, name = key.rpartition(".")
        if equals and dot and section in SECTIONS:
            found.setdefault(section, {})[name] = str(ast.literal_eval(value))
    return {name: value for section in SECTIONS for name, value in found.get(section, {}).items()}


def _pip(*words: str) -> str:
    command = [sys.executable, "-I", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=CONFIG_S, check=True).stdout


def source(pin: Pin, where: Places) -> tuple[str, bytes] | None:
    """Return the file name and the bytes of a source archive of `pin`, None when no place has one of its hashes."""
    for name, data in _candidates(pin, where):
        if hashlib.sha256(data).hexdigest() in pin.hashes:
            return f"{normal(pin.name)}-{pin.version}{_suffix(name)}", data
    return None


def _candidates(pin: Pin, where: Places) -> Iterator[tuple[str, bytes]]:
    for folder in where.folders:
        for path in sorted(folder.glob("*")) if folder.is_dir() else ():
            if _could_be(path.name, pin) and path.is_file() and path.stat().st_size <= MOST_SOURCE_BYTES:
                yield path.name, path.read_bytes()
    for index in where.indexes:
        try:
            yield from _of_index(pin, index, where)
        except (urllib.error.URLError, OSError, ValueError):
            continue  # the next place may have it; that none has it is told by the caller


def _of_index(pin: Pin, index: str, where: Places) -> Iterator[tuple[str, bytes]]:
    page = f"{index.rstrip('/')}/{urllib.parse.quote(normal(pin.name))}/"
    ask = _Asking(index, where.certificates)
    kind, data, page = ask.get(page, MOST_PAGE_BYTES)
    for address, digest in files(kind, data.decode("utf-8", "replace")):
        whole = urllib.parse.urljoin(page, address)
        name = urllib.parse.unquote(urllib.parse.urlsplit(whole).path.rpartition("/")[2])
        wanted = digest in pin.hashes if digest else _could_be(name, pin)
        if wanted and name.endswith(SOURCES):
            yield name, ask.get(whole, MOST_SOURCE_BYTES)[1]


def files(kind: str, text: str) -> Iterator[tuple[str, str]]:
    """Yield the address and the sha256 in hex, or "", of every file of an index's page for one package."""
    if "json" in kind:
        for row in json.loads(text).get("files", []):
            yield str(row["url"]), str((row.get("hashes") or {}).get("sha256", ""))
        return
    parser = _Links()
    parser.feed(text)
    for link in parser.found:
        address, _, fragment = link.partition("#")
        yield address, fragment.removeprefix("sha256=") if fragment.startswith("sha256=") else ""


class _Links(HTMLParser):
    """The targets of a page's links."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]


class _Asking:
    """Asks one index. Its name and word, when its address has them, go to that host only and when it asks for them."""

    def __init__(self, index: str, certificates: str) -> None:
        parts = urllib.parse.urlsplit(index)
        self.bare = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
        self.index = index
        words = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if parts.username:
            words.add_password(
                None, self.bare, urllib.parse.unquote(parts.username), urllib.parse.unquote(parts.password or "")
            )
        context = ssl.create_default_context(cafile=certificates or None)
        self.opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=context), urllib.request.HTTPBasicAuthHandler(words)
        )

    def get(self, address: str, most_bytes: int) -> tuple[str, bytes, str]:
        """Return the kind and the bytes of what lies at an address, and where that was. Raises: OSError, ValueError."""
        address = address.replace(self.index.rstrip("/"), self.bare.rstrip("/"), 1)
        if urllib.parse.urlsplit(address).scheme not in ("https", "http"):
            raise ValueError("not an address of the web")
        asked = urllib.request.Request(address, headers={"Accept": ACCEPT, "User-Agent": "evoguard"})  # noqa: S310
        with self.opener.open(asked, timeout=ASK_S) as answer:
            data = answer.read(most_bytes + 1)
            if len(data) > most_bytes:
                raise ValueError("larger than the bound")
            return str(answer.headers.get("Content-Type", "")), data, str(answer.url)


def _could_be(name: str, pin: Pin) -> bool:
    return name.endswith(SOURCES) and normal(name).startswith(f"{normal(pin.name)}-{normal(pin.version)}")


def _suffix(name: str) -> str:
    return next(suffix for suffix in SOURCES if name.endswith(suffix))
