"""The author's verbs without OPA: what they write, and each refusal as one clear error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.authoring import folder
from unit.cli.installed import Installed


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder.make(tmp_path / "rules", bundle.sources())
    return tmp_path / "rules"


@pytest.fixture
def no_opa(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("EVOGUARD_OPA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))


def test_init_writes_the_sources_of_the_shipped_bundle(installed: Installed, tmp_path: Path):
    answer = installed.json("policy", "init", str(tmp_path / "new"))
    assert answer.code == 0
    assert answer.doc["from"] == bundle.load().manifest.digest
    assert dict(folder.read(tmp_path / "new").texts) == bundle.sources()
    assert (tmp_path / "new" / ".regal" / "config.yaml").is_file()
    again = installed.json("policy", "init", str(tmp_path / "new"))
    assert (again.code, again.error["code"]) == (2, "policy.folder_taken")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("init", "{tmp}/n", "--from", "{tmp}"), "policy.bundle"),
        (("new", "change", "--in", "{rules}"), "policy.code"),
        (("new", "change.x", "--in", "{tmp}"), "policy.folder"),
        (("new", "change.x", "--in", "{rules}", "--severity", "constitution"), "policy.constitution"),
        (("fmt", "{tmp}"), "policy.opa"),
        (("fmt", "{rules}"), "policy.opa"),
        (("lint", "{rules}"), "policy.opa"),
        (("lint", "{rules}", "--format", "html"), "usage"),
        (("lint", "{rules}", "--format", "sarif"), "usage"),
        (("mutate", "{rules}"), "policy.opa"),
        (("mutate",), "policy.opa"),
        (("mutate", "{rules}", "--sample", "0"), "usage"),
        (("verify", "{tmp}", "--key", "{tmp}/none.pub"), "file.unreadable"),
        (("build", "{rules}", "--out", "{tmp}/b"), "policy.opa"),
        (("build", "{rules}", "--out", "{tmp}/b", "--opa", "{tmp}"), "policy.opa"),
    ],
)  # fmt: skip
@pytest.mark.usefixtures("no_opa")
def test_bad_input_is_one_clear_error(
    installed: Installed, rules: Path, tmp_path: Path, words: tuple[str, ...], code: str
):
    answer = installed.json("policy", *(word.format(tmp=tmp_path, rules=rules) for word in words))
    assert answer.code != 0
    assert answer.error["code"] == code
    assert answer.error["fix"]


@pytest.mark.usefixtures("no_opa")
def test_without_opa_the_exact_command_is_said(installed: Installed, rules: Path):
    said = installed.run("policy", "lint", str(rules)).err
    assert "evoguard tools get opa" in said
    assert "--opa FILE or EVOGUARD_OPA=FILE" in said


def test_new_writes_a_rule_and_says_what_is_next(installed: Installed, rules: Path):
    answer = installed.run("policy", "new", "change.too_late", "--in", str(rules))
    assert answer.code == 0
    assert "change/too_late_test.rego" in answer.out
    assert "change.too_late" in json.loads((rules / "data.json").read_text())["rules"]
    again = installed.json("policy", "new", "change.too_late", "--in", str(rules))
    assert (again.code, again.error["code"]) == (2, "policy.code_taken")


def test_the_catalogue_of_the_shipped_rules_has_a_row_and_a_part_for_each(installed: Installed):
    manifest = bundle.load().manifest
    page = installed.run("policy", "docs").out
    for code, about in manifest.codes.items():
        assert f"| `{code}` | {about['severity']} | {about['title']} |" in page
        assert f"## `{code}`: {about['title']}\n\n{about['description']}" in page
    assert str(installed.json("policy", "docs").doc["markdown"]) == page


def test_the_compiled_tests_are_told_as_junit(installed: Installed):
    answer = installed.run("policy", "test", "--format", "junit")
    assert answer.code == 0
    assert answer.out.count("<testcase ") == len(bundle.load().manifest.tests)
