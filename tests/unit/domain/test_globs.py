"""Globs mean here what they mean to the rules, and no name makes them slow."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contract.policies_suite import a_question, codes, touching
from evoguard import bundle
from evoguard.adapters.opa_wasm import OpaWasmPolicies
from evoguard.domain import globs

GUARD = [str(glob) for glob in bundle.load().numbers["guard"]["globs"]]  # type: ignore[index,call-overload]
PATHS = [
    ".evoguard.toml", "a/.evoguard.toml", "CODEOWNERS", "docs/CodeOwners", ".github", ".github/workflows/x.yml",
    "x/.github/y", "policies", "policies/a.rego", "a/policies/b", "src/app.py", "policies2/a", ".githubx/a",
    "evoguard.toml", "CODEOWNERS.md",
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
async def test_guard_paths_are_those_of_the_rules(path: str) -> None:
    said = await OpaWasmPolicies().decide("review", a_question(files=touching(path)))
    assert bool(globs.touched(GUARD, [path])) is ("approval.guard_paths" in codes(said))


@pytest.mark.parametrize(
    ("glob", "name", "fits"),
    [
        ("a", "a", True), ("a", "ab", False), ("*", "a", True), ("*", "a/b", False), ("**", "a/b", True),
        ("?", "/", False), ("a/*/c", "a/b/c", True), ("a/*/c", "a/b/b/c", False), ("a/**/c", "a/b/b/c", True),
        ("{a,b}*.{c,d}", "bx.d", True), ("{a,b}*.{c,d}", "cx.d", False), ("*a*b*", "xaxbx", True),
        ("*a*b*", "xbxax", False), ("", "", None),
    ],
)  # fmt: skip
def test_marks(glob: str, name: str, fits: bool | None) -> None:
    if fits is None:
        assert not globs.readable(glob)
    else:
        assert globs.matches(glob, name) is fits


@pytest.mark.parametrize("glob", ["[a]", "{", "a}", "{a{b}}", "a\\", "a|b", "$", "x" * 201, "{a,b}" * 7])
def test_a_glob_that_others_may_read_differently_is_not_readable(glob: str) -> None:
    assert not globs.readable(glob)
    with pytest.raises(ValueError, match="glob"):
        globs.touched([glob], ["a"])


def test_no_name_makes_a_glob_slow() -> None:
    assert not globs.matches("*a" * 90 + "b", "a" * 4_096)  # backtracking would take longer than the world is old
    assert not globs.matches("**a" * 60 + "b", "b" + "a/" * 2_000)


@settings(deadline=None)
@given(st.text("ab/", max_size=8))
def test_every_name_is_under_two_stars(name: str) -> None:
    assert globs.matches("**", name)
