"""Globs as every policy engine reads them: `**`, `*`, `?` and `{a,b}` over `/`-separated names, in linear steps."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

MOST_CHARS, MOST_ALTERNATIVES = 200, 64
_STEP, _CROSS, _ONE = "*", "**", "?"


def fold(name: str) -> str:
    """Return the name without case, as the rules compare it."""
    return name.upper().lower()


def forms(glob: str) -> frozenset[str]:
    """Return a glob in every form it needs: `**/X` alone misses the root, `X/**` alone misses X itself."""
    inside = glob.removeprefix("**/")
    return frozenset(form for form in (glob, inside, glob.removesuffix("/**"), inside.removesuffix("/**")) if form)


def readable(glob: str) -> bool:
    """Tell whether a glob is made of known marks only, and of few enough of them."""
    if not glob or len(glob) > MOST_CHARS or set(glob) & set("\\()|$[]^!"):
        return False
    try:
        _alternatives(glob)
    except ValueError:
        return False
    return True


def touched(globs: Iterable[str], names: Iterable[str]) -> frozenset[str]:
    """Return the names that a glob matches in any of its forms, compared without case.

    Raises: ValueError for a glob that is not `readable`.
    """
    patterns = [one for glob in globs for form in forms(fold(glob)) for one in _compiled(form)]
    return frozenset(name for name in names if (folded := fold(name)) and any(_fits(p, folded) for p in patterns))


def matches(glob: str, name: str) -> bool:
    """Tell whether a name matches this one form of a glob, with case. Raises: ValueError as `touched`."""
    return any(_fits(pattern, name) for pattern in _compiled(glob))


@lru_cache(maxsize=4_096)
def _compiled(glob: str) -> tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]:
    """Return, for each alternative, its marks and texts in order, and the texts alone, which a match must hold."""
    if not readable(glob):
        raise ValueError(f"the glob {glob[:40]!r} uses more than **, *, ? and {{a,b}}")
    parts = [_parts(text) for text in _alternatives(glob)]
    return tuple((found, tuple(p for p in found if p not in (_STEP, _CROSS, _ONE))) for found in parts)


def _alternatives(glob: str) -> list[str]:
    before, brace, rest = glob.partition("{")
    if not brace:
        if "}" in glob:
            raise ValueError("a brace is not opened")
        return [glob]
    inside, closed, after = rest.partition("}")
    if not closed or "{" in inside or "}" in before:
        raise ValueError("a brace is not closed")
    tails = _alternatives(after)
    found = [before + one + tail for one in inside.split(",") for tail in tails]
    if len(found) > MOST_ALTERNATIVES:
        raise ValueError("too many alternatives")
    return found


def _parts(text: str) -> tuple[str, ...]:
    found: list[str] = []
    at = 0
    while at < len(text):
        mark = next((m for m in (_CROSS, _STEP, _ONE) if text.startswith(m, at)), "")
        end = at + len(mark)
        if not mark:
            end = min((n for m in "*?" if (n := text.find(m, at)) >= 0), default=len(text))
        found.append(text[at:end])
        at = end
    return tuple(found)


def _fits(pattern: tuple[tuple[str, ...], tuple[str, ...]], name: str) -> bool:
    """Tell whether the parts, in order, make the whole name: the places that can be reached, part by part."""
    parts, texts = pattern
    if not all(text in name for text in texts):
        return False
    places = {0}
    for part in parts:
        places = _reached(part, name, places)
        if not places:
            return False
    return len(name) in places


def _reached(part: str, name: str, places: set[int]) -> set[int]:
    if part == _CROSS:
        return set(range(min(places), len(name) + 1))
    if part == _STEP:
        found: set[int] = set()
        for at in sorted(places):
            if at in found:
                continue  # what leads on from here was found from an earlier place
            end = name.find("/", at)
            found.update(range(at, (len(name) if end < 0 else end) + 1))
        return found
    if part == _ONE:
        return {at + 1 for at in places if at < len(name) and name[at] != "/"}
    return {at + len(part) for at in places if name.startswith(part, at)}
