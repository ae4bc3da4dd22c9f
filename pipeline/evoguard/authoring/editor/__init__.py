"""What an editor reads beside the sources: Regal's settings, the schema's place, snippets. No part of any bundle."""

from __future__ import annotations

from pathlib import Path

HOME = Path(__file__).parent
REGAL = ".regal/config.yaml"
_PLACES = {
    REGAL: "regal.yaml",
    ".vscode/settings.json": "settings.json",
    ".vscode/evoguard.code-snippets": "snippets.json",
}


def files() -> dict[str, str]:
    """Return path below a folder of policies → text."""
    return {path: (HOME / name).read_text(encoding="utf-8") for path, name in _PLACES.items()}
