"""The author's loop with the real OPA: start, write, check, build; and each fault as one clear problem."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.adapters import keys
from evoguard.authoring import folder, lint, template, testing
from evoguard.authoring.builder import Builder, write
from evoguard.errors import InputError, UnavailableError
from evoguard.wiring import authoring

pytestmark = pytest.mark.needs_opa

OPA = Path(os.environ.get("EVOGUARD_OPA", "opa"))
CAPABILITIES = bundle.sources()["capabilities.json"]


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    folder.make(tmp_path / "rules", bundle.sources())
    return tmp_path / "rules"


def problems(rules: Path, regal: Path | None = None) -> list[tuple[str, int, str]]:
    found = lint.lint(OPA, folder.read(rules), capabilities=CAPABILITIES, regal=regal)
    return [(one.file, one.line, one.code) for one in found.problems]


def test_new_rules_of_every_severity_are_whole_before_a_word_is_changed(rules: Path, tmp_path: Path):
    for code, severity in (("change.late", "deny"), ("change.odd", "note"), ("new_area.eyes", "escalate")):
        template.add(folder.read(rules), code, severity)
    assert problems(rules) == []
    built = authoring.build(rules, tmp_path / "bundle", OPA)
    assert built["bundle"] == bundle.load(tmp_path / "bundle").manifest.digest
    assert bundle.sources(tmp_path / "bundle") == folder.read(rules).texts
    assert authoring.init(tmp_path / "again", tmp_path / "bundle")["from"] == built["bundle"]
    assert folder.read(tmp_path / "again").texts == folder.read(rules).texts


def appended(path: str, text: str) -> Callable[[Path], None]:
    def spoil(rules: Path) -> None:
        (rules / path).parent.mkdir(exist_ok=True)
        with open(rules / path, "a") as file:
            file.write(text)

    return spoil


POLICIES = Path(__file__).resolve().parents[2] / "policies"
DATA = (POLICIES / "data.json").read_text(encoding="utf-8").splitlines()
LIST_OF_RULES = DATA.index('  "rules": [') + 1
EXEMPTIONS = DATA.index('  "exemptions": [],') + 1


def replaced(path: str, old: str, new: str) -> Callable[[Path], None]:
    def spoil(rules: Path) -> None:
        text = (rules / path).read_text()
        assert old in text
        (rules / path).write_text(text.replace(old, new))

    return spoil


def no_tests(rules: Path) -> None:
    (rules / "author" / "held_test.rego").write_text("package evoguard_test.author.held_test\n")


def two_of_one_code(rules: Path) -> None:
    (rules / "author" / "more.rego").write_text((rules / "author" / "held.rego").read_text())


HELD_TEST = "author/held_test.rego"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (appended("author/held.rego", "\nmistake if {\n"), ("author/held.rego", 13, "opa.parse")),
        (appended("author/held.rego", "\nmistake if input.chnage.id\n"), ("author/held.rego", 12, "opa.type")),
        (appended("author/held.rego", "\nmistake if http.send({})\n"), ("author/held.rego", 12, "policy.builtin")),
        (appended("author/held.rego", "\nmistake if no.such({})\n"), ("author/held.rego", 12, "opa.type")),
        (appended("author/held.rego", "\nmistake if 1 / input.totals.added == 2\n"),
         ("author/held.rego", 12, "policy.division")),
        (appended("author/held.rego", "\nmistake if x := 5 % (count(input.files) - 1)\n"),
         ("author/held.rego", 12, "policy.division")),
        (appended("author/held.rego", "\nmistake if 3 % 0 == 1\n"), ("author/held.rego", 12, "policy.division")),
        (appended("author/held.rego", "\nmistake if { some n in [rem(4, input.now)]; n > 1 }\n"),
         ("author/held.rego", 6, "policy.division")),
        (appended("author/held.rego", "\nmistake:=1\n"), ("author/held.rego", 0, "policy.format")),
        (replaced("author/held.rego", "# title: The author is not held\n", ""),
         ("author/held.rego", 5, "policy.metadata")),
        (replaced("author/held.rego", "# custom: {", "# custom: ["), ("author/held.rego", 4, "opa.parse")),
        (two_of_one_code, ("author/more.rego", 6, "policy.code_taken")),
        (no_tests, ("author/held.rego", 6, "policy.no_tests")),
        (replaced("data.json", '    "author.held",\n', ""), ("data.json", LIST_OF_RULES, "policy.rules")),
        (replaced("data.json", '"exemptions": []', '"exemptions": [{}]'),
         ("data.json", EXEMPTIONS, "policy.exceptions")),
        (replaced("capabilities.json", '"name": "abs"', '"name": "http.send"'),
         ("capabilities.json", 24, "policy.capabilities")),
        (replaced("semgrep/python/rules.yml", "severity: ERROR", "severity: BAD"),
         ("semgrep/python/rules.yml", 3, "policy.scan_rule")),
        (replaced(HELD_TEST, "test_not_held", "no_test"), ("author/held.rego", 6, "policy.never_silent")),
    ],
    ids=range(18),
)  # fmt: skip
def test_each_fault_is_a_problem_with_its_place_and_nothing_is_built(
    rules: Path, tmp_path: Path, spoil: Callable[[Path], None], problem: tuple[str, int, str]
):
    spoil(rules)
    found = problems(rules)
    assert problem in found, found
    if problem[2] == "policy.never_silent":
        return  # it builds; whether its tests are enough is said by lint and test
    with pytest.raises(InputError) as caught:
        authoring.build(rules, tmp_path / "bundle", OPA)
    assert caught.value.code in {code for _, _, code in found}
    assert problem[0] in caught.value.message
    assert not (tmp_path / "bundle").exists()


def test_a_rule_that_no_test_needs_to_fire_is_named(rules: Path):
    path = rules / HELD_TEST
    kept = [line for line in path.read_text().split("\n\n") if "denies" not in line]
    path.write_text("\n\n".join(kept) + "\n")
    assert ("author/held.rego", 6, "policy.never_fires") in problems(rules)


def test_fmt_lays_out_and_then_there_is_nothing_to_do(rules: Path):
    before = (rules / "author" / "held.rego").read_text()
    (rules / "author" / "held.rego").write_text(before.replace("deny contains", "deny   contains"))
    assert authoring.fmt(rules, OPA, check=True)["files"] == ["author/held.rego"]
    assert (rules / "author" / "held.rego").read_text() != before
    assert authoring.fmt(rules, OPA, check=False)["files"] == ["author/held.rego"]
    assert (rules / "author" / "held.rego").read_text() == before
    assert authoring.fmt(rules, OPA, check=False)["files"] == []
    (rules / "author" / "held.rego").write_text("package a\n\nx if {\n")
    with pytest.raises(InputError, match=r"author/held\.rego:4: "):
        authoring.fmt(rules, OPA, check=False)


def test_a_bundle_is_not_written_over_something_else(rules: Path, tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter").write_text("dear")
    with pytest.raises(InputError) as caught:
        write(Builder(OPA, rules).files(), tmp_path / "mine")
    assert caught.value.code == "policy.folder_taken"
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["letter"]


REGAL = """#!/bin/sh
echo '{"violations": [{"title": "todo-comment", "category": "style", "description": "Avoid TODO", "level": "error",
"location": {"file": "author/held.rego", "row": 3, "col": 1, "text": ""}}, {"level": "warning"}]}'
exit 3
"""


def test_what_regal_calls_an_error_is_added(rules: Path, tmp_path: Path):
    regal = tmp_path / "regal"
    regal.write_text(REGAL)
    regal.chmod(0o755)
    assert problems(rules, regal) == [("author/held.rego", 3, "regal.style.todo-comment")]


@pytest.mark.parametrize("script", ["echo nonsense", "echo '{}'", "echo '[]'; exit 3", "exit 1", "kill -9 $$"])
def test_a_regal_that_gives_no_answer_is_a_problem(rules: Path, tmp_path: Path, script: str):
    regal = tmp_path / "regal"
    regal.write_text(f"#!/bin/sh\n{script}\n")
    regal.chmod(0o755)
    assert [code for _, _, code in problems(rules, regal)] == ["regal.no_answer"]


def test_a_program_that_is_not_opa_is_one_clear_error(rules: Path, tmp_path: Path):
    other = tmp_path / "opa"
    other.write_text("#!/bin/sh\necho hello\n")
    other.chmod(0o755)
    with pytest.raises((InputError, UnavailableError)) as caught:
        lint.lint(other, folder.read(rules), capabilities=CAPABILITIES)
    assert caught.value.fix


def test_a_bundle_whose_sources_are_no_sources_is_not_started_from(tmp_path: Path):
    home = Path(bundle.__file__).parent
    for path in home.iterdir():
        if path.suffix in {".json", ".wasm"}:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    doc = json.loads((tmp_path / bundle.MANIFEST).read_bytes())
    texts = json.loads((tmp_path / bundle.SOURCES).read_bytes())
    texts["evil.sh"] = texts["data.json"]
    doc["sources"]["evil.sh"] = doc["sources"]["data.json"]
    doc["digest"] = bundle.identity(doc)
    (tmp_path / bundle.MANIFEST).write_text(json.dumps(doc))
    (tmp_path / bundle.SOURCES).write_text(json.dumps(texts))
    with pytest.raises(InputError) as caught:
        authoring.init(tmp_path / "new", tmp_path)
    assert caught.value.code == "policy.path"


def test_the_shipped_rules_are_covered_whole_and_every_set_is_needed_both_ways(rules: Path):
    found = authoring.tested(rules, OPA)
    assert found.ok
    assert {test.name for test in found.tests} == set(bundle.load().manifest.tests)
    assert {file.tenths for file in found.files} == {1000}
    assert {file.code for file in found.files} - {""} == set(bundle.load().manifest.rules)
    assert all(file.probed is not None and file.probed.whole for file in found.files if file.code)


def test_a_set_that_no_test_needs_and_lines_that_none_reaches_fail(rules: Path):
    more = 'escalate contains lib.finding("author.held", "x", "", "") if {\n\tinput.author.id == "zz"\n'
    appended("author/held.rego", f'\n{more}\tinput.author.kind == "person"\n}}\n')(rules)
    found = authoring.tested(rules, OPA)
    (held,) = [file for file in found.files if file.problems]
    assert (found.ok, found.failed, held.code, held.missed) == (False, [], "author.held", (12, 13, 14))
    assert held.probed is not None
    assert (held.probed.fires, held.probed.silent) == ({"deny"}, {"deny"})


def test_a_failed_test_is_told_with_its_place_and_nothing_is_measured(rules: Path):
    replaced(HELD_TEST, "test_held_at_admit if", "test_held_at_admit if 1 == 2\n\ntest_more if")(rules)
    found = authoring.tested(rules, OPA)
    assert not found.ok
    assert [(test.file, test.line) for test in found.failed] == [("author/held_test.rego", 11)]
    assert {file.tenths for file in found.files} == {None}


def test_a_test_that_opa_did_not_run_is_red(rules: Path, monkeypatch: pytest.MonkeyPatch):
    asked = testing._tests
    monkeypatch.setattr(testing, "_tests", lambda opa: asked(opa)[1:])
    found = authoring.tested(rules, OPA)
    assert (found.ok, [test.why for test in found.failed]) == (False, ["it was not run"])
    assert {file.tenths for file in found.files} == {None}


def test_no_test_at_all_is_refused(rules: Path):
    for path in rules.rglob("*_test.rego"):
        if path.parent.name != "given":
            path.unlink()
    with pytest.raises(InputError, match="no test at all"):
        authoring.tested(rules, OPA)


def test_the_catalogue_of_a_folder_is_that_of_its_bundle(rules: Path):
    folders, bundles = authoring.docs(rules, None, OPA), authoring.docs(None, None, None)
    assert folders.split("\n\n")[2:] == bundles.split("\n\n")[2:]


def test_a_rule_that_asks_for_endless_memory_is_one_clear_error(rules: Path):
    many = "m contains x if some x in numbers.range(1, 1000000000)"
    more = 'notes contains lib.finding("author.held", "", "", "") if count(m) > 1'
    appended("author/held.rego", f"\n{many}\n\n{more}\n")(rules)
    with pytest.raises((InputError, UnavailableError)) as caught:
        problems(rules)
    assert caught.value.code in ("policy.too_much", "unavailable.opa")
    assert caught.value.fix


def test_a_build_is_signed_and_an_older_signature_does_not_outlive_the_next_build(rules: Path, tmp_path: Path):
    public = keys.generate(tmp_path / "ci.key")
    built = authoring.build(rules, tmp_path / "bundle", OPA, sign_with=tmp_path / "ci.key")
    assert authoring.verify(tmp_path / "bundle", public) == {
        "verified": True, "bundle": built["bundle"], "key": built["signed_with"]
    }  # fmt: skip
    assert authoring.build(rules, tmp_path / "bundle", OPA)["signed_with"] == ""
    with pytest.raises(InputError, match="is not signed"):
        authoring.verify(tmp_path / "bundle", public)
