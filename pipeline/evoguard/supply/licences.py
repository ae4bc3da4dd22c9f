"""SPDX licence expressions as a list of choices; what is no expression has none, and is unknown."""

from __future__ import annotations

import re

Choice = tuple[str, ...]
"""Licences that hold together; one choice of several is enough."""
MOST_CHOICES, MOST_CHARS = 16, 200
_TOKEN = re.compile(r"\s*(\(|\)|[A-Za-z0-9.+:-]+)")


def choices(text: str) -> tuple[Choice, ...]:
    """Return the choices that an expression gives: `MIT OR (Apache-2.0 AND BSD-2-Clause)` gives two.

    An exception (`WITH …`) stays part of its licence's name. Source: SPDX 2.3, annex D.
    """
    if not text or len(text) > MOST_CHARS:
        return ()
    words: list[str] = []
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            return ()
        words.append(found.group(1))
        at = found.end()
    try:
        made, rest = _either(_joined(words), 0)
    except (IndexError, ValueError, RecursionError):
        return ()
    return made if rest == len(_joined(words)) and len(made) <= MOST_CHOICES else ()


def _joined(words: list[str]) -> list[str]:
    made: list[str] = []
    for word in words:
        if made and (word.upper() == "WITH" or made[-1].endswith(" WITH")):
            made[-1] = f"{made[-1]} {word.upper() if word.upper() == 'WITH' else word}"
        else:
            made.append(word)
    return made


def _either(words: list[str], at: int) -> tuple[tuple[Choice, ...], int]:
    made, at = _both(words, at)
    while at < len(words) and words[at].upper() == "OR":
        more, at = _both(words, at + 1)
        made = (*made, *more)
    return made, at


def _both(words: list[str], at: int) -> tuple[tuple[Choice, ...], int]:
    made, at = _single(words, at)
    while at < len(words) and words[at].upper() == "AND":
        more, at = _single(words, at + 1)
        made = tuple(tuple(sorted({*a, *b})) for a in made for b in more)
        if len(made) > MOST_CHOICES:
            raise ValueError("too many choices")
    return made, at


def _single(words: list[str], at: int) -> tuple[tuple[Choice, ...], int]:
    word = words[at]
    if word == "(":
        made, at = _either(words, at + 1)
        if words[at] != ")":
            raise ValueError("an expression that does not end")
        return made, at + 1
    if word == ")" or word.upper() in ("AND", "OR", "WITH") or word.endswith(" WITH"):
        raise ValueError("an operator where a licence should be")
    return ((word,),), at + 1
