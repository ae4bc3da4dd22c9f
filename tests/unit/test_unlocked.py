"""A project that asks for packages without a lock: nothing is installed, and that is said."""

from __future__ import annotations

import pytest

from evoguard.adapters.sandbox_layers import unlocked
from evoguard.ports.forge import Blob


@pytest.mark.parametrize(
    ("files", "named"),
    [
        ({}, ""),
        ({"pyproject.toml": "[project]\nname = 'x'\n"}, ""),
        ({"pyproject.toml": "[project]\ndependencies = []\n"}, ""),
        ({"pyproject.toml": "[project]\ndependencies = ['six']\n"}, "pyproject.toml pins none by hash"),
        ({"requirements.txt": "six==1.16.0\n"}, "requirements.txt pins none by hash"),
        (
            {"requirements.txt": "six\n", "pyproject.toml": "[project]\ndependencies = ['six']\n"},
            "requirements.txt and pyproject.toml pins none",
        ),
        ({"pyproject.toml": "project = 3\n"}, ""),
        ({"pyproject.toml": "[project\n"}, ""),
    ],
)
def test_what_is_asked_for_in_vain_is_named_with_the_mend(files, named):
    told = unlocked({path: Blob("100644", text.encode()) for path, text in files.items()})
    assert named in told
    assert bool(told) is bool(named)
    assert not told or "--generate-hashes" in told
