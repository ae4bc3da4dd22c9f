"""Text from inside the sandbox, made fit for a person's eyes: bounded, and nothing in it acts on a terminal."""

from __future__ import annotations

import hashlib

SHOWN_CHARS = 300


def shown(text: str, most: int = SHOWN_CHARS) -> str:
    """Return `text` with every control, formatting and undecodable character escaped, cut at `most` characters."""
    out = _escaped(text[: most + 1])
    return out if len(out) <= most else out[: most - 1] + "…"


def shown_name(text: str, most: int) -> str:
    """Return `text` escaped like that and bounded, and still another name for another text: a digest ends a cut one."""
    out = _escaped(text[: most + 1])
    if len(out) <= most:
        return out
    return f"{out[: most - 20]}… #{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"


def _escaped(text: str) -> str:
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text)
