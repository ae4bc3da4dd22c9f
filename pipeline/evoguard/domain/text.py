"""Text that people and tools read differently: what it hides is found on every changed file, whatever its language.

Sources: CVE-2021-42574 and CVE-2021-42694 (bidirectional and look-alike characters), Unicode TR 36 and 39, PEP 263,
PEP 3131 (names are compared in form NFKC).
"""

from __future__ import annotations

import codecs
import hashlib
import io
import re
import tokenize
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from evoguard.domain.scan import Hit, Severity

MOST_HITS, BINARY_BYTES, MOST_LINE = 5_000, 8_000, 2_000
"""More places than can be listed are refused. With a NUL within so many bytes, git calls a file binary."""
RULES: dict[str, tuple[Severity, str]] = {
    "text.bidi": ("error", "characters that turn the order of a line round: it is not read as it stands"),
    "text.isolates": (
        "info",
        "isolates around a part of a sentence, closed on the same line, in a file of translations",
    ),
    "text.tags": ("error", "invisible characters that spell text for machines"),
    "text.line_end": ("error", "a line end that some readers see and others do not: a comment may go on as code"),
    "text.invisible": ("warning", "a character that nobody sees"),
    "text.control": ("warning", "a control character, which a terminal may obey"),
    "text.mixed_script": ("warning", "a word of two scripts: letters that look alike are others"),
    "text.lookalike": ("warning", "letters that Python reads as others: the word that runs is another one"),
    "text.encoding": ("warning", "the file is in an encoding that other tools do not read it in"),
    "text.for_machines": ("warning", "text that gives orders to whoever reviews this by machine"),
    "text.code_encoding": ("error", "an encoding that turns comments or texts into code"),
}
"""Rule → how bad it is, and what to tell people."""
_BIDI = re.compile("[\u061c\u202a-\u202e\u2066-\u2069]")
_READER = (
    r"(?:ai|llm|gpt|claude|copilot|gemini|(?:language |reviewing )?model|assistant|agent|chatbot|review\w*|auditor|bot)"
    r"s?"
)
_FOR_MACHINES = re.compile(
    r"(?:ignore|disregard|forget|override)\b.{0,30}\b(?:previous|prior|above|earlier|all|any|your|system)\b.{0,20}"
    r"\b(?:instructions?|prompts?|rules|guidelines|directions|context)"
    r"|<\|?(?:im_start|im_end|system|endoftext)\|?>|\[/?INST\]|</?(?:system|assistant|instructions?)>\s*\w"
    r"|^\W*system\s*:\s*you\b|\byou are (?:now )?(?:in |a |an |the )?(?:\w+ ){0,2}(?:mode|jailbroken|dan)\b"
    rf"|\b(?:note|message|instructions?|attention|important|dear|hey|as)\b.{{0,12}}\b(?:to|for|the|any|all|an?|:)\W{{1,3}}"
    rf"(?:\w+ )?{_READER}\b"
    rf".{{0,80}}\b(?:approve|accept|merge|report|answer|reply|skip|say|print|rate|mark|do not|must|should|please)\b"
    r"|\b(?:answer|reply|respond|say|output)\s+(?:only |just |with |that )*[\"'\u201c]"
    r"(?:no issues?|lgtm|safe|approved?|looks good|ok)\b"
    r"|\b(?:do not|don't|never)\b.{0,12}\b(?:mention|reveal|report|flag|tell)\b.{0,20}\b(?:this|these)\b.{0,20}"
    r"\b(?:note|comment|instructions?|message|text|change|file|users?)\b",
    re.IGNORECASE,
)
"""Turns of phrase that tell a reader by machine what to do, and mean nothing to a program."""
_TRANSLATIONS = re.compile(r".*\.(ftl|po|pot|xlf|xliff|arb|strings|stringsdict|resx)\Z", re.IGNORECASE)
"""Files that hold sentences and no code: isolates that close on their own line are how they are written."""
_FLAG = re.compile("\U0001f3f4[\U000e0020-\U000e007e]{1,6}\U000e007f")
"""The flag of a region is a black flag and tags that spell it."""
_TAGS = re.compile("[\U000e0000-\U000e01ef\ufff9-\ufffb]")
_LINE_END = re.compile("\r(?!\n|\\Z)|[\x0b\x85\u2028\u2029]")
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2060-\u2065\u206a-\u206f\u3164\ufe00-\ufe0f\uffa0\ufeff]"
)
_JOINERS = "\u200c\u200d"
_CONTROL = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
_WORD = re.compile(r"\w+")
_SCRIPTS = ("LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "COPTIC", "LISU")
"""Scripts with letters that look like another's."""
_PLAIN = frozenset({"utf-8", "utf-8-sig", "ascii", "iso8859-1"})
_CODE = ("escape", "utf-7", "rot", "punycode", "idna", "hz", "charmap", "undefined")
_PYTHON = (".py", ".pyi", ".pyw", ".pth")


def hidden(path: str, data: bytes) -> list[Hit]:
    """Return what a file hides; one that git calls binary is no text, hides nothing here and is refused elsewhere."""
    if b"\0" in data[:BINARY_BYTES]:
        return []
    code = path.lower().endswith(_PYTHON) or data.startswith(b"#!")
    hits = list(_encoding(path, data)) if code else []
    text = data.decode("utf-8", "replace").removeprefix("\ufeff")
    hits += _for_machines(path, text)
    if text.isascii() and not _CONTROL.search(text) and not _LINE_END.search(text):
        return hits
    for number, line in enumerate(text.split("\n"), 1):
        for rule in _rules_on(line.removesuffix("\r"), code=code):
            told = "text.isolates" if rule == "text.bidi" and not code and _isolated(path, line) else rule
            hits.append(_hit(told, path, number, line))
        if len(hits) >= MOST_HITS:
            break
    return hits[:MOST_HITS]


def _for_machines(path: str, text: str) -> Iterator[Hit]:
    """Yield lines that speak to a reader by machine; each is read with the next, for sentences go on."""
    lines = [line[:MOST_LINE] for line in text.split("\n")]
    for number, (line, after) in enumerate(zip(lines, [*lines[1:], ""], strict=True), 1):
        found = _FOR_MACHINES.search(f"{line} {after.lstrip(' #*/-')}")
        if found and found.start() < len(line):
            yield _hit("text.for_machines", path, number, line)


def _rules_on(line: str, *, code: bool) -> Iterator[str]:
    if _LINE_END.search(line) or "\r" in line:
        yield "text.line_end"
    if _CONTROL.search(line):
        yield "text.control"
    if line.isascii():
        return
    if _BIDI.search(line):
        yield "text.bidi"
    if _TAGS.search(_FLAG.sub("", line)):
        yield "text.tags"
    if any(not _joins(line, at.start()) for at in _INVISIBLE.finditer(line)):
        yield "text.invisible"
    words = [word.group() for word in _WORD.finditer(line) if not word.group().isascii()]
    if any(_mixed(word) for word in words):
        yield "text.mixed_script"
    if code and any(unicodedata.normalize("NFKC", word).isascii() for word in words):
        yield "text.lookalike"


def _isolated(path: str, line: str) -> bool:
    """Tell whether all that turns a line are isolates, each closed on it, in a file of translations."""
    signs, depth = _BIDI.findall(line), 0
    for sign in signs:
        depth += 1 if sign in "\u2066\u2067\u2068" else -1 if sign == "\u2069" else -len(signs) - 1
        if depth < 0:
            return False
    return depth == 0 and bool(_TRANSLATIONS.match(path))


def _joins(line: str, at: int) -> bool:
    """Tell whether it stands where writing or a picture wants it: joiners between two, a selector after a sign."""
    before, after = line[at - 1 : at] if at else "", line[at + 1 : at + 2]
    if line[at] in _JOINERS:
        return bool(before and after) and not before.isascii() and not after.isascii()
    if "\ufe00" <= line[at] <= "\ufe0f":
        return bool(before) and not before.isalpha() and not "\ufe00" <= before <= "\ufe0f"
    return False


def _mixed(word: str) -> bool:
    return len({script for char in word if (script := _script(char))}) > 1


@lru_cache(maxsize=4_096)
def _script(char: str) -> str:
    name = unicodedata.name(char, "") if char.isalpha() else ""
    return next((script for script in _SCRIPTS if name.startswith(script)), "")


def _encoding(path: str, data: bytes) -> Iterator[Hit]:
    """Yield the encoding that a script declares, where it is not one that every tool reads the same."""
    try:
        found = codecs.lookup(tokenize.detect_encoding(io.BytesIO(data).readline)[0]).name
    except (SyntaxError, UnicodeDecodeError, LookupError):
        found = "unknown"
    if found not in _PLAIN:
        code = any(part in found for part in _CODE)
        yield _hit("text.code_encoding" if code else "text.encoding", path, 1, found)


def _hit(rule: str, path: str, line: int, text: str) -> Hit:
    """Return a place; what is compared with the base is a digest of the whole line."""
    severity, msg = RULES[rule]
    return Hit(rule, severity, path, line, msg, hashlib.sha256(text.encode("utf-8", "replace")).hexdigest())
