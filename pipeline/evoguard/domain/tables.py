"""Values of a settings table, bounded and typed at the door; `bad` makes the error that the reader of a file raises."""

from __future__ import annotations

import re
from collections.abc import Callable

from evoguard.errors import InputError

Bad = Callable[[str], InputError]


def number(value: object, key: str, least: float, most: float, bad: Bad) -> float:
    """Return a number within its bounds; yes and no are none. Raises: what `bad` returns."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not least <= value <= most:
        raise bad(f"{key} is a number from {least:g} to {most:g}")
    return value


def text(value: object, key: str, form: re.Pattern[str], bad: Bad, *, such: str = "") -> str:
    """Return a text of its form; `such` shows one in the error. Raises: what `bad` returns."""
    if not isinstance(value, str) or not form.match(value):
        raise bad(f"{key} is not of its form{such}")
    return value
