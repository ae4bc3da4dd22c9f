"""A new rule is written with its test and listed, or nothing is written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.authoring import folder, template
from evoguard.errors import InputError


@pytest.fixture
def made(tmp_path: Path) -> Path:
    folder.make(tmp_path, bundle.sources())
    return tmp_path


@pytest.mark.parametrize(("severity", "name"), [("deny", "deny"), ("escalate", "escalate"), ("note", "notes")])
def test_a_rule_its_test_and_its_line_are_written(made: Path, severity: str, name: str):
    before = json.loads((made / "data.json").read_text())
    assert template.add(folder.read(made), "change.too_late", severity) == [
        "change/too_late.rego", "change/too_late_test.rego", "data.json",
    ]  # fmt: skip
    rule = (made / "change" / "too_late.rego").read_text()
    assert f"custom: {{code: change.too_late, severity: {severity}, " in rule
    assert f"\n{name} contains " in rule
    assert (made / "change" / "too_late_test.rego").read_text().count("\ntest_") == 3
    after = json.loads((made / "data.json").read_text())
    assert after == {**before, "rules": sorted([*before["rules"], "change.too_late"])}


def test_the_rest_of_the_data_keeps_its_layout(made: Path):
    before = (made / "data.json").read_text().splitlines()
    template.add(folder.read(made), "change.too_late", "deny")
    after = (made / "data.json").read_text().splitlines()
    assert [line for line in after if line not in before] == ['    "change.too_late",']
    assert [line for line in before if line not in after] == []


def test_data_that_is_laid_out_otherwise_is_written_anew():
    text = '{"x": {"rules": [1]}, "rules": ["a.b"]}'
    assert json.loads(template.listing(text, ["a.b", "a.a"])) == {"x": {"rules": [1]}, "rules": ["a.a", "a.b"]}


@pytest.mark.parametrize(
    ("code", "severity", "error"),
    [
        ("change", "deny", "policy.code"), ("Change.late", "deny", "policy.code"),
        ("change.late2", "deny", "policy.code"),
        ("a.b.c", "deny", "policy.code"), ("", "deny", "policy.code"), ("../x.y", "deny", "policy.code"),
        ("change.la\nte", "deny", "policy.code"), ("change.late_test", "deny", "policy.code"),
        ("_a.b", "deny", "policy.code"), ("a." + "b" * 100, "deny", "policy.code"),
        ("change.secret", "deny", "policy.code_taken"), ("change.late", "constitution", "policy.constitution"),
        ("change.late", "warn", "policy.severity"), ("change.late", "", "policy.severity"),
    ],
)  # fmt: skip
def test_a_bad_code_or_severity_is_refused_and_nothing_is_written(made: Path, code: str, severity: str, error: str):
    before = {path: path.read_bytes() for path in made.rglob("*") if path.is_file()}
    with pytest.raises(InputError) as caught:
        template.add(folder.read(made), code, severity)
    assert caught.value.code == error
    assert caught.value.fix
    assert {path: path.read_bytes() for path in made.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    "data", ["[]", "3", "{", '{"rules": {}}', '{"rules": [1]}', '{"rules": [], "rules": []}', "[" * 99_999]
)
def test_data_that_is_no_object_with_rules_is_refused(made: Path, data: str):
    (made / "data.json").write_text(data)
    with pytest.raises(InputError) as caught:
        template.add(folder.read(made), "change.late", "deny")
    assert caught.value.code in ("policy.data", "policy.rules")
    assert not (made / "change" / "late.rego").exists()


def test_a_file_that_is_there_is_not_overwritten(made: Path):
    (made / "change" / "late_test.rego").write_text("mine")
    with pytest.raises(InputError, match=r"late_test\.rego"):
        template.add(folder.read(made), "change.late", "deny")
    assert (made / "change" / "late_test.rego").read_text() == "mine"
