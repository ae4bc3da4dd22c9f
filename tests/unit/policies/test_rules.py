from __future__ import annotations

from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.adapters.opa_wasm import run_rule_tests

POLICIES = Path(__file__).parents[3] / "policies"
RESULTS = dict(run_rule_tests())


@pytest.mark.parametrize("name", sorted(RESULTS))
def test_rule(name: str) -> None:
    assert RESULTS[name], f"{name} is false, undefined or gave no answer"


def test_every_rule_has_tests_that_pass_and_tests_that_deny() -> None:
    tests = bundle.load().manifest.tests
    for code in bundle.load().manifest.rules:
        area, name = code.split(".")
        assert len([test for test in tests if test.startswith(f"evoguard_test/{area}/{name}_test/")]) >= 4


def test_the_bundle_is_built_from_these_sources() -> None:
    assert bundle.stale_sources(POLICIES) == []


def test_a_changed_missing_or_new_source_is_named(tmp_path: Path) -> None:
    for path in sorted(bundle.source_digests(POLICIES)):
        copy = tmp_path / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((POLICIES / path).read_bytes())
    (tmp_path / "data.json").write_text("{}")
    (tmp_path / "author/held.rego").unlink()
    (tmp_path / "author/new.rego").write_text("package evoguard.rules.author.new")
    assert [line.split(":")[0] for line in bundle.stale_sources(tmp_path)] == [
        "policies/author/held.rego", "policies/author/new.rego", "policies/data.json",
    ]  # fmt: skip


def test_the_catalogue_in_the_readme_is_that_of_the_bundle() -> None:
    rows = [line for line in (POLICIES / "README.md").read_text().splitlines() if line.startswith("| `")]
    listed = {row.split("|")[1].strip(" `"): tuple(cell.strip() for cell in row.split("|")[2:4]) for row in rows}
    assert listed == {code: (about["severity"], about["title"]) for code, about in bundle.load().manifest.codes.items()}


def test_every_source_that_a_rule_cites_is_a_heading_of_the_readme() -> None:
    headings = {
        line[3:].lower().replace(" ", "-")
        for line in (POLICIES / "README.md").read_text().splitlines()
        if line[:3] == "## "
    }
    cited = {about["source"].removeprefix("policies/README.md#") for about in bundle.load().manifest.codes.values()}
    assert cited <= headings
