"""What an editor reads is written beside the sources, and this checkout uses the same settings of Regal."""

from __future__ import annotations

import json
from pathlib import Path

import yaml  # type: ignore[import-untyped]  # the package has no types of its own

from evoguard import bundle
from evoguard.authoring import editor

POLICIES = Path(__file__).parents[3] / "policies"


def test_this_checkout_has_the_settings_that_every_new_folder_gets() -> None:
    assert (POLICIES / editor.REGAL).read_text() == editor.files()[editor.REGAL]


def test_whatever_is_turned_off_says_why() -> None:
    text = editor.files()[editor.REGAL]
    off = [row for row in text.splitlines() if "level: ignore" in row or "files:" in row or "max-" in row]
    assert off
    assert all("# " in row for row in off)
    assert yaml.safe_load(text)["rules"]


def test_nothing_of_it_is_a_source_of_the_bundle() -> None:
    for path, text in editor.files().items():
        assert not bundle.is_source(path)
        assert text.isascii()
        if not path.endswith(".yaml"):
            assert json.loads(text)
