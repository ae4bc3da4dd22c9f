"""How a patch writes what it needs: literals that are not there as such, and names that are reached in another way."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field

PART = 3


def _joined(text: str) -> str:
    return f'"".join({[text[n : n + PART] for n in range(0, len(text), PART)]!r})'


_WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": repr,
    "joined": _joined,
    "hex": lambda text: f'bytes.fromhex("{text.encode().hex()}").decode()',
    "numbers": lambda text: f'"".join(map(chr, {[ord(letter) for letter in text]!r}))',
    "base64": lambda text: f'base64.b64decode("{base64.b64encode(text.encode()).decode()}").decode()',
    "reversed": lambda text: f"{text[::-1]!r}[::-1]",
}


@dataclass(slots=True)
class Style:
    """One way of writing, with what must be imported for what was written so far."""

    literals: str
    reach: str
    imports: set[str] = field(default_factory=set)
    above: list[str] = field(default_factory=list)
    """Lines that the module needs at its top."""

    def text(self, text: str) -> str:
        """Return an expression for a text."""
        if self.literals == "base64":
            self.imports.add("base64")
        return _WRITTEN[self.literals](text)

    def name(self, module: str, attribute: str) -> str:
        """Return an expression for a module's attribute."""
        if self.reach == "imported by name":
            self.imports.add("importlib")
            return f"getattr(importlib.import_module({self.text(module)}), {self.text(attribute)})"
        self.imports.add(module)
        if self.reach == "getattr":
            return f"getattr({module}, {self.text(attribute)})"
        return f"vars({module})[{self.text(attribute)}]" if self.reach == "namespace" else f"{module}.{attribute}"
