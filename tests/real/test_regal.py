"""Regal itself over the rules: they are clean under the committed settings, and so is what `policy new` writes."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.authoring import editor, folder, lint, template
from evoguard.authoring.lint import Linted
from evoguard.authoring.opa import at_work

pytestmark = pytest.mark.needs_opa
OPA, REGAL = Path(os.environ.get("EVOGUARD_OPA", "opa")), Path(os.environ.get("EVOGUARD_REGAL", "regal"))
POLICIES = Path(__file__).parents[2] / "policies"
CAPABILITIES = bundle.sources()["capabilities.json"]
HOLE = re.compile(r"\$\{\d+:((?:[^{}]|\{[^{}]*\})*)\}")


def linted(rules: Path) -> Linted:
    return lint.lint(OPA, folder.read(rules), capabilities=CAPABILITIES, regal=REGAL)


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder.make(tmp_path / "rules", {**bundle.sources(), **editor.files()})
    return tmp_path / "rules"


def test_the_rules_of_this_checkout_are_clean() -> None:
    found = linted(POLICIES)
    assert (list(found.problems), found.regal) == ([], "Regal was run: 0 errors, 0 warnings")


def test_new_rules_are_clean_before_a_word_is_changed(rules: Path) -> None:
    for code, severity in (("change.late", "deny"), ("change.odd", "note"), ("new_area.eyes", "escalate")):
        template.add(folder.read(rules), code, severity)
    assert list(linted(rules).problems) == []


def test_what_regal_forbids_is_a_problem_with_its_place(rules: Path) -> None:
    path = rules / "author" / "held.rego"
    path.write_text(path.read_text() + "\n# TODO: mend\n")
    assert [(one.file, one.line, one.code) for one in linted(rules).problems] == [
        ("author/held.rego", 12, "regal.style.todo-comment")
    ]


@pytest.mark.parametrize("settings", ["rules: [", "rules: {style: {todo-comment: {level: loud}}}"])
def test_settings_that_regal_cannot_read_are_a_problem_and_not_silence(rules: Path, settings: str) -> None:
    (rules / editor.REGAL).write_text(settings)
    path = rules / "author" / "held.rego"
    path.write_text(path.read_text() + "\n# TODO: mend\n")
    codes = {one.code for one in linted(rules).problems}
    assert codes & {"regal.no_answer", "regal.style.todo-comment"}


def test_every_snippet_for_editors_is_rego_that_the_check_accepts(rules: Path) -> None:
    rule, test = rules / "change" / "snip.rego", rules / "change" / "snip_test.rego"
    bodies = {name: "\n".join(one["body"]) for name, one in json.loads(editor.files()[SNIPPETS]).items()}
    filled = {name: HOLE.sub(r"\1", re.sub(r"\$\{\d+:\}", "", text)) for name, text in bodies.items()}
    head = 'import data.evoguard.lib\n\ncode := "change.snip"\n\n'
    rule.write_text(f"package evoguard.snip\n\n{head}" + "\n\n".join(t for n, t in filled.items() if "test" not in n))
    head = 'import data.evoguard_test.given\n\ncode := "change.snip"\n\n'
    test.write_text(f"package evoguard_test.snip\n\n{head}" + "\n\n".join(t for n, t in filled.items() if "test" in n))
    assert not [text for text in filled.values() if "${" in text]
    with at_work(OPA, folder.read(rules)) as opa:
        assert opa.check() == []


SNIPPETS = ".vscode/evoguard.code-snippets"
