"""Text from inside the sandbox, made fit for a person's eyes: bounded, and nothing in it acts on a terminal."""

from __future__ import annotations

SHOWN_CHARS = 300


def shown(text: str, most: int = SHOWN_CHARS) -> str:
    """Return `text` with every control, formatting and undecodable character escaped, cut at `most` characters."""
    out = "".join(
        c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode() for c in text[: most + 1]
    )
    return out if len(out) <= most else out[: most - 1] + "…"
