"""Files of pip's requirements format: joined lines, comments, options, hashes, further files; read as pip reads them.

Where pip and another reader would see different things (a comment that goes on, a name from the environment, an
abbreviated option) the file is at fault: what is installed must be what people read.
"""

from __future__ import annotations

import codecs
import posixpath
import re
import shlex
from collections.abc import Iterator

from evoguard.supply.python import odd_name, requirement
from evoguard.supply.types import Dependency, Fault, Read, short

MOST_LINE, SNIFFED_BYTES = 65_536, 262_144
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
_CODING = re.compile(rb"coding[:=]\s*([-\w.]+)")
_COMMENT = re.compile(r"(?:^|\s+)#.*$")
_WHOLE_COMMENT = re.compile(r"\s*#")
_ENVIRONMENT = re.compile(r"\$\{[A-Z0-9_]+\}")
_HASH = re.compile(r"(?:sha256|sha384|sha512):[0-9a-f]{64,128}\Z")
_INCLUDE = {"-r": "-r", "--requirement": "-r", "-c": "-c", "--constraint": "-c"}
_PLACE = {
    "-i": "an index", "--index-url": "an index", "--pypi-url": "an index", "--extra-index-url": "a further index",
    "-f": "a place for files", "--find-links": "a place for files", "--trusted-host": "a host that is not verified",
}  # fmt: skip
_EDITABLE = {"-e": "-e", "--editable": "-e"}
_VALUED = ("--no-binary", "--only-binary", "--use-feature", "--global-option", "--config-settings", "--hash",
           "--config-setting", "-C", "--build-constraint", "--use-deprecated")  # fmt: skip
_PLAIN = ("--no-index", "--pre", "--prefer-binary", "--require-hashes", "--always-unzip", "-Z")
_OF_ONE = ("--hash", "--global-option", "--config-settings", "--config-setting", "-C")
"""Options that belong to the requirement before them."""
_LONG = tuple(name for name in (*_INCLUDE, *_PLACE, *_EDITABLE, *_VALUED, *_PLAIN) if name.startswith("--"))


def read(path: str, data: bytes, *, locked: bool = False) -> Read:
    """Return what a requirements file names; a line that nobody can read is a fault, the others still count."""
    text = _text(path, data)
    if isinstance(text, Fault):
        return Read(faults=(text,))
    found: list[Dependency] = []
    faults: list[Fault] = []
    includes: list[str] = []
    for number, line in _logical(path, text, faults):
        got = _line(path, number, line, locked=locked)
        found += got.dependencies
        faults += got.faults
        includes += got.includes
    return Read(tuple(found), tuple(faults), tuple(includes))


def looks_like_one(data: bytes) -> bool:
    """Tell whether a file of another name is one all the same: each line of it pins something, or some line has a hash.

    Prose, data and lists of bare words are none.
    """
    head = data[:SNIFFED_BYTES]
    text = _text("", head if len(head) == len(data) else head[: head.rfind(b"\n") + 1])
    if isinstance(text, Fault):
        return False
    ignored: list[Fault] = []
    lines = [line for _, line in _logical("", text, ignored)][:200]
    hashed = any("--hash=" in line for line in lines)
    pinned = [bool(re.match(r"[A-Za-z0-9][\w.-]*(\[[^\]]*\])?\s*(==|@\s*\S+://)", line)) for line in lines]
    options = [line.startswith(("-r ", "-c ", "--index-url", "--extra-index-url", "-i ")) for line in lines]
    return bool(lines) and (hashed or all(a or b for a, b in zip(pinned, options, strict=True))) and any(pinned)


def _text(path: str, data: bytes) -> str | Fault:
    """Decode as pip does: by the byte order mark, else UTF-8; another encoding that a comment names is a fault."""
    for mark, name in _BOMS:
        if data.startswith(mark):
            try:
                return data[len(mark) :].decode(name)
            except UnicodeDecodeError:
                return Fault(path, f"its byte order mark says {name}, its bytes do not")
    for row in data.split(b"\n")[:2]:
        named = _CODING.search(row) if row.startswith(b"#") else None
        if named and named.group(1).lower().replace(b"_", b"-") not in (b"utf-8", b"utf8", b"ascii", b"us-ascii"):
            return Fault(path, f"it says that it is written in {short(named.group(1).decode('ascii'), 40)}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as err:
        return Fault(path, f"byte {err.start + 1} is not UTF-8")
    return Fault(path, "it holds a NUL") if "\0" in text else text


def _logical(path: str, text: str, faults: list[Fault]) -> Iterator[tuple[int, str]]:
    """Yield (number, joined line without comments). Lines end where Python's `splitlines` ends them, as for pip."""
    started, parts = 0, [""]
    for number, line in enumerate(text.splitlines(), 1):
        comment = bool(_WHOLE_COMMENT.match(line))
        if line.endswith("\\") and not comment:
            if _COMMENT.search(line):
                faults.append(Fault(path, "a comment that goes on in the next line hides it", number))
            started = started or number
            parts.append(line.strip("\\"))
            continue
        if comment and started:
            faults.append(Fault(path, "a comment inside a joined line cuts it off", number))
        joined = "".join([*parts, f" {line}" if comment else line])
        yield from _cleaned(path, started or number, joined, faults)
        started, parts = 0, [""]
    if started:
        yield from _cleaned(path, started, "".join(parts), faults)


def _cleaned(path: str, number: int, line: str, faults: list[Fault]) -> Iterator[tuple[int, str]]:
    line = _COMMENT.sub("", line).strip()
    if len(line) > MOST_LINE:
        faults.append(Fault(path, f"a line of more than {MOST_LINE:,} characters", number))
    elif line:
        yield number, line


def _line(path: str, number: int, line: str, *, locked: bool) -> Read:
    if _ENVIRONMENT.search(line):
        return Read(faults=(Fault(path, "what it names depends on the environment", number),))
    words = line.split(" ")
    at = next((i for i, word in enumerate(words) if word.startswith("-")), len(words))
    named, rest = " ".join(words[:at]), " ".join(words[at:])
    options = _options(rest)
    if isinstance(options, str):
        return Read(_odd(named, path, number), (Fault(path, options, number),))
    if not named:
        return _only_options(path, number, options)
    strange = [name for name, _ in options if name not in _OF_ONE]
    bad = [value for name, value in options if name == "--hash" and not _HASH.match(value)]
    if strange or bad:
        why = f"{short((strange or bad)[0], 40)} beside a requirement"
        return Read(_odd(named, path, number), (Fault(path, why, number),))
    hashes = [value for name, value in options if name == "--hash"]
    one = requirement(named, path, number, hashes, locked=locked)
    return Read(_odd(named, path, number), (one,)) if isinstance(one, Fault) else Read((one,))


def _odd(named: str, path: str, number: int) -> tuple[Dependency, ...]:
    odd = odd_name(named, path, number)
    return (odd,) if odd else ()


def _options(text: str) -> list[tuple[str, str]] | str:
    """Return (option, value) pairs, or what is wrong. An abbreviation, which pip takes, is taken for what it means."""
    try:
        words = shlex.split(text)
    except ValueError:
        return "quotes that do not end"
    found: list[tuple[str, str]] = []
    at = 0
    while at < len(words):
        name, given, value = _option(words[at])
        if not name:
            return f"an option that nobody knows: {short(words[at], 60)}"
        at += 1
        if name in _PLAIN:
            if given:
                return f"{name} takes no value"
        elif not given:
            if at >= len(words):
                return f"{name} without a value"
            value, at = words[at], at + 1
        found.append((name, value))
    return found


def _option(word: str) -> tuple[str, bool, str]:
    """Return an option's full name (empty when it is none or could be several), whether a value came with it, which."""
    if word.startswith("--"):
        name, equals, value = word.partition("=")
        fits = [name] if name in _LONG else [known for known in _LONG if known.startswith(name) and len(name) > 2]
        meanings = {_INCLUDE.get(one) or _PLACE.get(one) or one for one in fits}
        return (fits[0] if len(meanings) == 1 else ""), bool(equals), value
    name = word[:2]
    known = name in (*_INCLUDE, *_PLACE, *_EDITABLE, *_VALUED, *_PLAIN)
    return (name if known else ""), len(word) > 2, word[2:].removeprefix("=")


def _only_options(path: str, number: int, options: list[tuple[str, str]]) -> Read:
    found: list[Dependency] = []
    faults: list[Fault] = []
    includes: list[str] = []
    for name, value in options:
        if name in _INCLUDE:
            if "://" in value or value.startswith(("/", "~", "file:")):
                faults.append(Fault(path, f"{_INCLUDE[name]} names a file outside of the tree", number))
            else:
                includes.append(posixpath.normpath(posixpath.join(posixpath.dirname(path), value)))
        elif name in _PLACE:
            place = short(re.sub(r"//[^/@]*@", "//", value))
            found.append(
                Dependency("PyPI", f"{name} {place}"[:120], name, path, number, origin="other-index", where=place,
                           spec=_PLACE[name], pinned="digest")
            )  # fmt: skip
        elif name in _EDITABLE:
            one = requirement(value if "+" in value or ":" in value else f"./{value}", path, number)
            found += [] if isinstance(one, Fault) else [one]
            faults += [one] if isinstance(one, Fault) else []
        elif name in _OF_ONE:
            faults.append(Fault(path, f"{name} belongs to no requirement", number))
    return Read(tuple(found), tuple(faults), tuple(includes))
