"""Container images: what a Dockerfile builds from, copies from, mounts and is parsed by."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from evoguard.supply.types import Dependency, Fault, Read, decoded, file, short

_DIRECTIVE = re.compile(r"#\s*([a-zA-Z]+)\s*=\s*(\S+)\s*\Z")
_DIGEST = re.compile(r"@sha256:[0-9a-f]{64}\Z")
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?[-+]([^{}]*))?\}|(\w+))")
_NAME = re.compile(r"[a-z0-9][a-z0-9._/:-]*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?\Z", re.IGNORECASE)
_FROM = re.compile(r"(?:--from=|\bfrom=)([^\s,]+)")


def read(path: str, data: bytes) -> Read:
    """Return the images that a Dockerfile names; one that depends on what the builder passes floats."""
    text = decoded(path, data)
    if isinstance(text, Fault):
        return Read(faults=(text,))
    found: list[Dependency] = []
    faults: list[Fault] = []
    stages: set[str] = set()
    defaults: dict[str, str] = {}
    for number, said in _directives(text):
        found.append(image(said, path, number))
    for number, line in _instructions(text):
        verb, _, rest = line.partition(" ")
        verb = verb.upper()
        if verb == "ARG":
            for name, equals, value in (word.partition("=") for word in _words(rest)):
                defaults[name] = value if equals else ""
        elif verb == "FROM":
            one = _from(rest, path, number, defaults, stages)
            file(one, found, faults)
        elif verb in ("COPY", "ADD", "RUN"):
            found += _other(verb, _filled(rest, defaults), path, number, stages)
    return Read(tuple(found), tuple(faults))


def image(said: str, path: str, line: int) -> Dependency:
    """Return an image as a dependency; only a digest pins it, a tag moves."""
    name, _, _ = said.partition("@")
    tail = name.rpartition("/")[2]
    tag = tail.partition(":")[2]
    bare = name[: len(name) - len(tag) - 1] if tag else name
    pinned = "digest" if _DIGEST.search(said) else "floating"
    digests = (said.rpartition("@")[2],) if pinned == "digest" else ()
    return Dependency(
        "docker", short(bare.lower(), 120), short(bare, 120), path, line, "", short(said), pinned=pinned,  # type: ignore[arg-type]  # one of Pinned
        digests=digests,
    )  # fmt: skip


def _directives(text: str) -> Iterator[tuple[int, str]]:
    """Yield the image of a `# syntax=` line: it is fetched, and reads the rest of the file."""
    for number, line in enumerate(text.splitlines(), 1):
        found = _DIRECTIVE.match(line.strip())
        if found is None:
            return
        if found.group(1).lower() == "syntax":
            yield number, found.group(2)


def _instructions(text: str) -> Iterator[tuple[int, str]]:
    """Yield (line, joined instruction); comments and empty lines inside a joined one are left out, as Docker does."""
    escape = "\\"
    for line in text.splitlines():
        found = _DIRECTIVE.match(line.strip())
        if found is None:
            break
        escape = found.group(2) if found.group(1).lower() == "escape" else escape
    started, parts = 0, [""]
    for number, line in enumerate(text.split("\n"), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith("#"):
            continue
        started = started or number
        if stripped.endswith(escape):
            parts.append(stripped[: -len(escape)] + " ")
            continue
        yield started, " ".join("".join([*parts, stripped]).split())
        started, parts = 0, [""]
    if started:
        yield started, " ".join("".join(parts).split())


def _from(rest: str, path: str, number: int, defaults: dict[str, str], stages: set[str]) -> Dependency | Fault | None:
    words = [word for word in _words(rest) if not word.startswith("--")]
    if not words or len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
        return Fault(path, f"a FROM that nobody can read: {short(rest, 80)}", number)
    said = _filled(words[0], defaults)
    known = said.lower() in stages or said.lower() == "scratch"
    if len(words) == 3:
        stages.add(words[2].lower())
    if known:
        return None
    if "$" in said or not said:
        return image(f"{words[0]}", path, number)
    return image(said, path, number) if _NAME.match(said) else Fault(path, f"no image: {short(said, 80)}", number)


def _other(verb: str, rest: str, path: str, number: int, stages: set[str]) -> Iterator[Dependency]:
    """Yield images that files are copied or mounted from, and files that are fetched."""
    for said in _FROM.findall(rest) if verb == "COPY" or (verb == "RUN" and "--mount" in rest) else ():
        if not said.isdigit() and said.lower() not in stages:
            yield image(said, path, number)
    for word in _words(rest) if verb == "ADD" else ():
        if "://" in word or word.startswith("git@"):
            firm = "--checksum=sha256:" in rest
            origin = "url" if word.startswith("https://") else "git" if word.startswith("git@") else "insecure"
            yield Dependency(
                "docker", short(word, 120), short(word, 120), path, number, origin=origin, where=short(word),  # type: ignore[arg-type]  # one of Origin
                pinned="digest" if firm else "floating",
            )  # fmt: skip


def _filled(text: str, defaults: dict[str, str]) -> str:
    """Return a text with the defaults of ARG put in; what has none stays as it is written."""

    def value(found: re.Match[str]) -> str:
        name = found.group(1) or found.group(3)
        return defaults.get(name) or found.group(2) or found.group()

    return _VARIABLE.sub(value, text)


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
