"""A policy folder, read once and whole: every file regular, bounded and UTF-8, nothing outside the folder."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from evoguard import bundle
from evoguard.errors import InputError

DATA, CAPABILITIES, SCHEMA = "data.json", "capabilities.json", "schema/input.json"
NEEDED = (DATA, CAPABILITIES, SCHEMA)
MOST_ENTRIES, MOST_FILES = 20_000, 2_000
FILE_BYTES, ALL_BYTES = 1 << 20, 16 << 20
START = "`evoguard policy init FOLDER` makes one"


@dataclass(frozen=True, slots=True)
class Sources:
    """What a bundle is built from: path below the folder → text, sorted by path."""

    folder: Path
    texts: Mapping[str, str]

    def rego(self, *, tests: bool) -> list[str]:
        """Return the Rego files, with or without the tests."""
        found = [path for path in self.texts if path.endswith(".rego")]
        return [path for path in found if tests or not is_test(path)]


def is_test(path: str) -> bool:
    """Tell whether a file's name says that it holds tests."""
    return path.endswith("_test.rego")


def read(folder: Path) -> Sources:
    """Return a policy folder's sources.

    Raises: InputError when it is no policy folder, or naming the file that is a link, too big, not UTF-8 or not a file.
    """
    if not all((folder / name).is_file() for name in NEEDED):
        raise _wrong(f"{_named(folder)} is not a policy folder: it lacks one of {', '.join(NEEDED)}", "folder", START)
    texts: dict[str, str] = {}
    size = 0
    for path in sorted(_paths(folder)):
        raw = _bytes(folder, path)
        size += len(raw)
        if len(texts) >= MOST_FILES or size > ALL_BYTES:
            bound = f"more than {MOST_FILES} source files or {ALL_BYTES >> 20} MiB"
            raise _wrong(f"{_named(folder)} holds {bound}", "too_big", "name the folder of the policies alone")
        try:
            texts[path] = raw.decode("utf-8")
        except UnicodeDecodeError as err:
            raise _wrong(f"{path} is not UTF-8 (byte {err.start})", "encoding", "save it as UTF-8") from err
    return Sources(folder, texts)


def make(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Write these sources into a folder that is empty or new; return their paths. Raises: InputError."""
    for path in texts:
        if PurePosixPath(path).is_absolute() or ".." in path.split("/") or not _plain(path):
            raise _wrong(f"a source is called {path[:200]!r}", "path", "start from a bundle that you trust")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise _wrong(f"{_named(folder)} is not empty", "folder_taken", "name a folder that is not there yet")
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with open(folder / path, "xb") as file:
                file.write(text.encode("utf-8"))
    except OSError as err:
        raise _wrong(f"{_named(folder)} cannot be written: {err.strerror}", "folder", "name another folder") from err
    return sorted(texts)


def put(sources: Sources, path: str, text: str, *, new: bool) -> None:
    """Write one source file at once and whole; with `new` it must not be there yet. Raises: InputError."""
    place = sources.folder / path
    aside = place.with_name(f".{place.name}.new")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        if new:
            with open(place, "xb") as file:
                file.write(text.encode("utf-8"))
            return
        aside.write_bytes(text.encode("utf-8"))
        os.replace(aside, place)
    except OSError as err:
        raise _wrong(f"{path} cannot be written: {err.strerror}", "folder", "check the folder's owner") from err


def _paths(folder: Path) -> Iterator[str]:
    """Yield the path of every source file. Raises: InputError for a link, a strange name, or a folder too large."""
    entries = 0
    for home, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in (*folders, *files):
            entries += 1
            if entries > MOST_ENTRIES:
                raise _wrong(f"{_named(folder)} holds too many files", "too_big", "name the folder of the policies")
            path = (Path(home) / name).relative_to(folder).as_posix()
            if name in folders or bundle.is_source(path):
                if os.path.islink(folder / path):
                    raise _wrong(f"{path!r} is a link", "link", "put the file itself there")
                if not _plain(path):
                    raise _wrong(f"a path reads {path[:200]!r}", "path", "use letters, digits, `_`, `-`, `.`")
                if name not in folders:
                    yield path


def _bytes(folder: Path, path: str) -> bytes:
    try:
        opened = os.open(folder / path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(opened, "rb") as file:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise _wrong(f"{path} is not a file", "kind", "put a regular file there")
            raw = file.read(FILE_BYTES + 1)
    except OSError as err:
        raise _wrong(f"{path} cannot be read: {err.strerror}", "unreadable", "make it readable") from err
    if len(raw) > FILE_BYTES:
        raise _wrong(f"{path} is larger than {FILE_BYTES >> 20} MiB", "too_big", "a source is text that people read")
    return raw


def _plain(path: str) -> bool:
    """Tell whether a path is one that people, OPA and a command line read alike."""
    return path.isprintable() and "\\" not in path and not path.startswith("-") and len(path) <= 255


def _named(folder: Path) -> str:
    return repr(str(folder))[1:-1][-200:]


def _wrong(message: str, code: str, fix: str) -> InputError:
    return InputError(f"policy: {message}", code=f"policy.{code}", fix=fix)
