"""Text that people and tools read differently: what it hides is found on every changed file, whatever its language.

Sources: CVE-2021-42574 and CVE-2021-42694 (bidirectional and look-alike characters), Unicode TR 36 and 39, PEP 263.
"""

from __future__ import annotations

import io
import re
import tokenize
import unicodedata
from collections.abc import Iterator

from evoguard.domain.scan import Hit, Severity

MOST_HITS, SHOWN_CHARS = 50, 200
RULES: dict[str, tuple[Severity, str]] = {
    "text.bidi": ("error", "characters that turn the order of a line round: it is not read as it stands"),
    "text.tags": ("error", "invisible characters that spell text for machines"),
    "text.invisible": ("warning", "a character that nobody sees"),
    "text.control": ("warning", "a control character, which a terminal may obey"),
    "text.mixed_script": ("warning", "a word of two scripts: letters that look alike are others"),
    "text.encoding": ("warning", "the file is in an encoding that other tools do not read it in"),
    "text.code_encoding": ("error", "an encoding that turns comments or texts into code"),
}
"""Rule → how bad it is, and what to tell people."""
_BIDI = re.compile("[\u202a-\u202e\u2066-\u2069]")
_TAGS = re.compile("[\U000e0000-\U000e007f\ufff9-\ufffb]")
_INVISIBLE = re.compile("[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b-\u200f\u2060-\u2064\u3164\uffa0\ufeff]")
_JOINERS = "\u200c\u200d"
_CONTROL = re.compile("[\x00-\x08\x0b\x0e-\x1f\x7f-\x84\x86-\x9f]")
_WORD = re.compile(r"\w+")
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE")
"""Scripts with letters that look like another's."""
_PLAIN = frozenset({"utf-8", "utf-8-sig", "ascii", "us-ascii", "iso-8859-1", "latin-1"})
_CODE = ("escape", "utf-7", "utf_7", "utf7", "rot", "punycode", "idna", "hz", "charmap", "undefined")
_PYTHON = (".py", ".pyi", ".pyw")


def hidden(path: str, data: bytes) -> list[Hit]:
    """Return what a file hides, at most 50 places; a file with NUL is no text and hides nothing here."""
    if b"\0" in data:
        return []
    hits = list(_encoding(path, data)) if path.lower().endswith(_PYTHON) or data.startswith(b"#!") else []
    if data.isascii() and not _CONTROL.search(data.decode("ascii")):
        return hits
    for number, line in enumerate(data.decode("utf-8", "replace").removeprefix("\ufeff").split("\n"), 1):
        if line.isascii() and not _CONTROL.search(line):
            continue
        hits += [_hit(rule, path, number, line) for rule in _rules_on(line)]
        if len(hits) >= MOST_HITS:
            break
    return hits[:MOST_HITS]


def _rules_on(line: str) -> Iterator[str]:
    if _BIDI.search(line):
        yield "text.bidi"
    if _TAGS.search(line):
        yield "text.tags"
    if any(not _joins(line, at.start()) for at in _INVISIBLE.finditer(line)):
        yield "text.invisible"
    if _CONTROL.search(line):
        yield "text.control"
    if any(_mixed(word.group()) for word in _WORD.finditer(line)):
        yield "text.mixed_script"


def _joins(line: str, at: int) -> bool:
    """Tell whether a joiner stands between two characters that are joined in writing or in a picture."""
    beside = line[at - 1 : at] + line[at + 1 : at + 2]
    return line[at] in _JOINERS and len(beside) == 2 and not any(char.isascii() for char in beside)


def _mixed(word: str) -> bool:
    return not word.isascii() and len({s for char in word for s in _SCRIPTS if _name(char).startswith(s)}) > 1


def _name(char: str) -> str:
    return unicodedata.name(char, "") if char.isalpha() else ""


def _encoding(path: str, data: bytes) -> Iterator[Hit]:
    """Yield the encoding that a script declares, where it is not one that every tool reads the same."""
    try:
        found = tokenize.detect_encoding(io.BytesIO(data[:4096]).readline)[0].lower()
    except (SyntaxError, UnicodeDecodeError, LookupError):
        found = "unknown"
    if found not in _PLAIN:
        code = any(part in found for part in _CODE)
        yield _hit("text.code_encoding" if code else "text.encoding", path, 1, found)


def _hit(rule: str, path: str, line: int, text: str) -> Hit:
    severity, msg = RULES[rule]
    return Hit(rule, severity, path, line, msg, " ".join(text.split())[:SHOWN_CHARS])
