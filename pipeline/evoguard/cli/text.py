"""What people see: untrusted text made harmless, data on stdout, everything else on stderr."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Sequence

WIDE = 220
GAP = 2
"""Blanks between two columns."""
WORD, TEXT = 40, 12
"""The longest word that is kept whole, a git id, and how narrow a text gets."""
_ID = re.compile(r"[0-9a-f]{12}")


def shown(text: object) -> str:
    r"""Return text that is safe to print: control, direction and unassigned characters read `\xNN` or `\uNNNN`."""
    return "".join(char if char.isprintable() else _escaped(ord(char)) for char in str(text))


def line(text: object = "") -> None:
    """Print one line of data."""
    print(shown(text))


def note(text: object) -> None:
    """Say something that is not data."""
    print(shown(text), file=sys.stderr, flush=True)


def facts(pairs: Iterable[tuple[str, object]], *, to_stderr: bool = False) -> None:
    """Print names and values, aligned; an empty value is left out."""
    kept = [(name, shown(value)) for name, value in pairs if value not in ("", None)]
    width = max((len(name) for name, _ in kept), default=0)
    for name, value in kept:
        print(f"{name:<{width}}  {value}", file=sys.stderr if to_stderr else sys.stdout)


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print a table as wide as the terminal, or 220 wide without one. Cells are text, never markup, never cut off.

    Ids and columns of single words are not broken, so that they can be copied; the room that is left goes to the
    columns of text. Where not even that fits, each row becomes a list of names and values.
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    width = None if sys.stdout.isatty() else WIDE
    console = Console(markup=False, highlight=False, emoji=False, width=width)
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = _widths([[heading, *(row[n] for row in cells)] for n, heading in enumerate(headings)], console.width)
    if not widths:
        for row in cells:
            facts(zip(headings, row, strict=True))
            line()
        return
    made = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0), pad_edge=False, header_style="bold")
    for heading, room in zip(headings, widths, strict=True):
        made.add_column(Text(heading), overflow="fold", width=room)
    for row in cells:
        made.add_row(*(Text(cell) for cell in row))
    console.print(made)
    line()


def _widths(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return a width for each column, none when there is no room for what must stay whole; the narrowest grows first.

    Rich would crop the last column instead.
    """
    from rich.cells import cell_len

    def least(column: Sequence[str]) -> int:
        longest = max(map(cell_len, column))
        if longest <= WORD and not any(" " in cell for cell in column[1:]):
            return longest
        ids = (cell_len(word) for cell in column for word in cell.split(" ") if _ID.search(word))
        return max(min(longest, TEXT), *(word for word in ids if word <= WORD), cell_len(column[0]))

    made, wanted = [least(column) for column in columns], [max(map(cell_len, column)) for column in columns]
    room = width - sum(made) - GAP * (len(made) - 1)
    if room < 0:
        return []
    while room and made != wanted:
        narrowest = min((n for n in range(len(made)) if made[n] < wanted[n]), key=lambda n: made[n])
        made[narrowest], room = made[narrowest] + 1, room - 1
    return made


def _escaped(point: int) -> str:
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
