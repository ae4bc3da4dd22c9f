"""Small charts for a terminal: columns over time, drawn from plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence

EIGHTHS = " ▁▂▃▄▅▆▇█"
BAND, CONTROL, TREATED, BOTH = "░", "─", "●", "◉"
Band = tuple[float | None, float, float]
"""A value with the ends of its band; None where there is no value."""


def heights(values: Sequence[float], top: float, rows: int, *, bound: float | None = None) -> list[str]:
    """Return rows, highest first, of filled columns from 0 to `top`; a bound is a dotted row behind them."""
    line_at = None if bound is None or not 0 <= bound <= top else _row(bound, top, rows)
    drawn = []
    for row in reversed(range(rows)):
        empty = "┄" if row == line_at else " "
        cells = (EIGHTHS[min(8, max(0, round(8 * (rows * value / top - row))))] for value in values)
        drawn.append("".join(empty if cell == " " else cell for cell in cells))
    return drawn


def arms(control: Sequence[Band], treated: Sequence[Band], top: float, rows: int) -> list[str]:
    """Return rows, highest first: the treated arm's band with its value in it, and the control arm's value."""
    grid = [[" "] * len(treated) for _ in range(rows)]
    for column, (value, low, high) in enumerate(treated):
        if value is None:
            continue
        for row in range(_row(low, top, rows), _row(high, top, rows) + 1):
            grid[row][column] = BAND
    for column, (value, _, _) in enumerate(control):
        if value is not None:
            grid[_row(value, top, rows)][column] = CONTROL
    for column, (value, _, _) in enumerate(treated):
        if value is not None:
            row = _row(value, top, rows)
            grid[row][column] = BOTH if grid[row][column] == CONTROL else TREATED
    return ["".join(row) for row in reversed(grid)]


def ruler(marks: Sequence[str]) -> str:
    """Return one row that says each mark where it begins; marks that would run into the next are cut."""
    row = [" "] * len(marks)
    last = None
    for column, mark in enumerate(marks):
        if mark != last:
            for at, char in enumerate(f"│{mark}"):
                if column + at < len(row):
                    row[column + at] = char
        last = mark
    return "".join(row)


def decades(value: float) -> float:
    """Return the place of a value on a scale by powers of ten that begins at 1."""
    return math.log10(max(1.0, value))


def _row(value: float, top: float, rows: int) -> int:
    return min(rows - 1, max(0, int(rows * value / top))) if top > 0 else 0
