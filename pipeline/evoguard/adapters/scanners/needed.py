"""Which rule is asked of which file: what a rule cannot match without, it need not be asked of.

The engine is slow in gVisor for each pair of a rule that follows data and a file. `metadata.needs` of a rule lists
patterns of whole words: for each of them the file must have a word, else nothing that the rule describes can be in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from evoguard.domain.canonical import Json

WORD = re.compile(r"\w+")
MOST_CHARS = 64
"""A file with a longer word is asked everything: patterns are tried on short texts only, and none takes for ever."""


def narrowed(rules: Iterable[Mapping[str, Json]], files: Mapping[str, bytes]) -> list[Json]:
    """Return the rules as they are asked of `files` (place → content), without those that none of them needs.

    A file that is no UTF-8, or writes letters as escapes, may hold any word: it is asked everything. The engine reads
    `paths` below each folder that it scans, so a file that is asked has the one beside it, in the other folder, asked.
    """
    words = {place: _words(data) for place, data in files.items()}
    fitting: dict[tuple[str, ...], list[str]] = {}
    listed: list[Json] = []
    for rule in rules:
        if not (needs := needs_of(rule)):
            listed.append(dict(rule))
            continue
        if needs not in fitting:
            found = {place.partition("/")[2] for place, has in words.items() if _has(has, needs)}
            fitting[needs] = sorted(found)
        if fitting[needs]:
            listed.append({**rule, "paths": {"include": [*fitting[needs]]}})
    return listed


def needs_of(rule: Mapping[str, Json]) -> tuple[str, ...]:
    """Return the patterns of words that a rule cannot match without, none for a rule that is asked of every file."""
    metadata = rule.get("metadata")
    needs = metadata.get("needs") if isinstance(metadata, Mapping) else None
    return tuple(str(pattern) for pattern in needs) if isinstance(needs, list) else ()


def _words(data: bytes) -> str | None:
    """Return the words of a file, each once and on a line of its own, or None when it may hold any."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    if "\\u" in text or "\\x" in text:
        return None
    words = frozenset(WORD.findall(text))
    return None if any(len(word) > MOST_CHARS for word in words) else "\n".join(words)


def _has(words: str | None, needs: tuple[str, ...]) -> bool:
    return words is None or all(re.search(f"(?m)^(?:{pattern})$", words) for pattern in needs)
