"""One thing that is wrong in a policy folder, where, and the mend."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evoguard.domain.canonical import Json
from evoguard.errors import InputError

MOST_CHARS = 600


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """What is wrong at a line (from 1; 0: the file as a whole) of a file below the folder, and its mend."""

    file: str
    line: int
    code: str
    msg: str
    fix: str = ""

    def __str__(self) -> str:
        """Return it for people."""
        return f"{self.file}:{self.line}: {self.msg}" if self.line else f"{self.file}: {self.msg}"

    def as_json(self) -> dict[str, Json]:
        """Return it as plain JSON."""
        return {"file": self.file, "line": self.line, "code": self.code, "msg": self.msg, "fix": self.fix}


def refuse(problems: Iterable[Problem]) -> None:
    """Do nothing when there is no problem. Raises: InputError with the first one, which says how many follow."""
    found = sorted(problems)
    if not found:
        return
    more = f" (and {len(found) - 1} more; `evoguard policy lint` lists them)" if len(found) > 1 else ""
    raise InputError(f"policy: {str(found[0])[:MOST_CHARS]}{more}", code=found[0].code, fix=found[0].fix)


def line_of(text: str, start: str) -> int:
    """Return the number of the first line that begins so, white space aside; 1 when none does."""
    lines = text.splitlines()
    return next((n for n, line in enumerate(lines, 1) if line.lstrip().startswith(start)), 1)
