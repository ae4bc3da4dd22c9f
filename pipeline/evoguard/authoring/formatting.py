"""The one layout of Rego, as `opa fmt` has it."""

from __future__ import annotations

from pathlib import Path

from evoguard.authoring.folder import Sources, put
from evoguard.authoring.opa import at_work


def laid_out(binary: Path, sources: Sources, *, write: bool) -> list[str]:
    """Return the files that `opa fmt` lays out otherwise; with `write` each of them is written so.

    Raises: InputError when a file does not parse; then nothing is written.
    """
    with at_work(binary, sources) as opa:
        found = opa.unformatted()
        if found and write:
            opa.run("fmt", "--write", *found)
            for path in found:
                put(sources, path, (opa.home / path).read_text(encoding="utf-8"), new=False)
    return found
