"""What people see: untrusted text made harmless, data on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence


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
    """Print a table; without a terminal it is wide and plain. Cells are text, never markup."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    tty = sys.stdout.isatty()
    console = Console(markup=False, highlight=False, emoji=False, width=None if tty else 220)
    made = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for heading in headings:
        made.add_column(Text(heading), overflow="fold")
    for row in rows:
        made.add_row(*(Text(shown(cell)) for cell in row))
    console.print(made)


def _escaped(point: int) -> str:
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"
