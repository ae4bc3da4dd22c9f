"""Answers as the pages read them: plain data from a view, where a part that is missing is nothing."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import cast

WIDE = 66
"""How many letters of a text stand beside a name, so that a terminal of 80 columns does not break it."""
Doc = Mapping[str, object]


def doc_of(value: object) -> Doc:
    """Return a table of names and values, or an empty one."""
    return cast(Doc, value) if isinstance(value, Mapping) else {}


def rows_of(value: object) -> Sequence[object]:
    """Return a list, or an empty one."""
    return value if isinstance(value, list | tuple) else ()


def docs_of(value: object) -> list[Doc]:
    """Return the tables of a list."""
    return [cast(Doc, row) for row in rows_of(value) if isinstance(row, Mapping)]


def lines_of(name: str, texts: object) -> list[tuple[str, object]]:
    """Return texts as pairs of a name and a line each, in lines that fit; the name stands at the first."""
    lines = [part for text in rows_of(texts) for part in textwrap.wrap(str(text), WIDE)]
    return [(name if n == 0 else "", part) for n, part in enumerate(lines)]
