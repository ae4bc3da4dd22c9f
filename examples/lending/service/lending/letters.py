"""Write the letter that tells an applicant the decision. What writes it (model and prompt) is handed in, by version."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from string import Template

MODEL, PROMPT = "writer/model.json", "writer/prompt.txt"
Parameters = Mapping[str, object]


class NoModelError(ValueError):
    """The version names a model that is not here."""


def write(files: Mapping[str, str], *, name: str, decision: str, reason: str) -> str:
    """Return the letter that this version writes. Raises: NoModelError."""
    pin = json.loads(files[MODEL])
    model = MODELS.get(pin["id"])
    if model is None:
        raise NoModelError(f"there is no model {pin['id']}")
    return model(
        Template(files[PROMPT]).safe_substitute(name=name, decision=decision, reason=reason), pin["parameters"]
    )


def complete(letter: str, *, decision: str, reason: str) -> bool:
    """Tell whether a letter says what the law wants it to say: the decision, and the whole reason for it."""
    words = " ".join(letter.split())
    return decision in words and reason in words


def _plain(prompt: str, _: Parameters) -> str:
    return prompt


def _brief(prompt: str, parameters: Parameters) -> str:
    words = prompt.split()
    return " ".join(words[: int(str(parameters.get("most_words", len(words))))])


MODELS: Mapping[str, Callable[[str, Parameters], str]] = {"house-writer-1": _plain, "house-writer-2": _brief}
"""Models that need no network and answer the same every time; a real one would be asked by its id and parameters."""
