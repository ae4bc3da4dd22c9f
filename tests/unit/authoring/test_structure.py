"""What does not fit in a policy folder is a problem with its place; here without OPA."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.authoring import scan_rules, structure
from evoguard.authoring.folder import Sources
from evoguard.authoring.modules import Module
from evoguard.authoring.opa import problems_in
from evoguard.authoring.problem import Problem, refuse
from evoguard.errors import InputError

DATA = {"rules": ["a.b"], "constitution": [], "exemptions": [], "shadow": []}
ABOUT = {"title": "t", "description": "d", "custom": {"code": "a.b", "severity": "deny", "source": "s"}}
RULE = Module("a/b.rego", 6, "evoguard.rules.a.b", ("deny",), ABOUT)
TEST = Module("a/b_test.rego", 1, "evoguard_test.a.b_test", ("code", "test_x"), {})


def examined(*modules: Module, data: object = None) -> structure.Structure:
    texts = {module.path: "package x\n\ntest_x if true\n" for module in modules}
    texts["data.json"] = data if isinstance(data, str) else json.dumps(data or DATA, indent=1)
    return structure.examine(Sources(Path("."), texts), {module.path: module for module in modules})


def changed(module: Module, **parts: object) -> Module:
    return Module(
        **{**{name: getattr(module, name) for name in ("path", "line", "package", "names", "about")}, **parts}
    )  # type: ignore[arg-type]  # parts of a test's own making


def custom(**parts: str) -> Mapping[str, object]:
    return {**ABOUT, "custom": {"code": "a.b", "severity": "deny", "source": "s", **parts}}


def test_what_fits_has_no_problem():
    found = examined(RULE, TEST)
    assert found.problems == ()
    assert found.codes == {"a.b": {"title": "t", "description": "d", "severity": "deny", "source": "s"}}
    assert found.tests == {"evoguard_test/a/b_test/test_x": ("a/b_test.rego", 3)}


@pytest.mark.parametrize(
    ("modules", "data", "code", "says"),
    [
        ((RULE,), None, "policy.no_tests", "a.b has no test"),
        ((RULE, changed(TEST, names=("code",))), None, "policy.no_tests", "a.b has no test"),
        ((RULE, TEST, changed(RULE, path="a/c.rego")), None, "policy.code_taken", "the code a.b is taken: a/b.rego"),
        ((changed(RULE, path="x/b.rego"), TEST), None, "policy.place", "belongs into a/b.rego"),
        ((changed(RULE, about={}), TEST), None, "policy.metadata", "custom.code a.b, title, description"),
        ((changed(RULE, about={**ABOUT, "custom": []}), TEST), None, "policy.metadata", "custom.code a.b"),
        ((changed(RULE, about=custom(code="a.c")), TEST), None, "policy.metadata", "custom.code a.b"),
        ((changed(RULE, about=custom(source="")), TEST), None, "policy.metadata", "needs custom.source"),
        ((changed(RULE, about=custom(severity="bad")), TEST), None, "policy.severity", "'bad' is no severity"),
        ((changed(RULE, names=("x",)), TEST), None, "policy.says_nothing", "none of the sets"),
        ((changed(RULE, package="evoguard.rules.ab"), TEST), None, "policy.code", "'ab' is no code"),
        ((RULE, changed(TEST, names=("test_x", "test_x"))), None, "policy.test_twice", "two tests of one name"),
        ((RULE, changed(TEST, about=custom())), None, "policy.test_name", "called like a test's"),
        ((RULE, TEST, changed(TEST, path="q_test.rego", package="mine")), None, "policy.test_package", "below"),
        ((RULE, TEST), "[]", "policy.data", "not one JSON object"),
        ((RULE, TEST), '{"a": 1, "a": 2}', "policy.data", "the key 'a' stands twice"),
        ((RULE, TEST), {**DATA, "rules": "a.b"}, "policy.rules", "must be a list"),
        ((RULE, TEST), {**DATA, "rules": []}, "policy.rules", "add a.b"),
        ((RULE, TEST), {**DATA, "rules": ["a.b", "c.d"]}, "policy.rules", "take out c.d, which has no file"),
        ((RULE, TEST), {**DATA, "exemptions": [{}]}, "policy.exceptions", "exemptions[0]: it has the keys"),
        ((RULE, TEST), {**DATA, "constitution": ["a.b"]}, "policy.exceptions", "`constitution` must be []"),
    ],
)  # fmt: skip
def test_each_misfit_is_a_problem_with_its_place(modules: tuple[Module, ...], data: object, code: str, says: str):
    found = [problem for problem in examined(*modules, data=data).problems if problem.code == code]
    assert found
    assert says in found[0].msg
    assert found[0].fix
    assert found[0].line


def test_a_builtin_that_the_shipped_bundle_does_not_allow_is_named():
    shipped = bundle.sources()["capabilities.json"]
    doc = json.loads(shipped)
    doc["builtins"].append({"name": "http.send"})
    mine = Sources(Path("."), {"capabilities.json": json.dumps(doc, indent=1)})
    (found,) = structure.wider(mine, shipped)
    assert (found.code, "http.send" in found.msg, found.line > 1) == ("policy.capabilities", True, True)
    for spoilt in ("{}", "[]", '{"builtins": 1}', '{"builtins": [1]}', "{"):
        with pytest.raises(InputError):
            structure.wider(Sources(Path("."), {"capabilities.json": spoilt}), shipped)


def test_the_first_problem_is_the_error_and_the_others_are_counted():
    refuse([])
    with pytest.raises(InputError, match=r"^policy: a:1: one \(and 1 more; ") as caught:
        refuse([Problem("b", 2, "x.y", "two"), Problem("a", 1, "x.x", "one", "mend it")])
    assert (caught.value.code, caught.value.fix) == ("x.x", "mend it")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (b'{"errors": [{"message": "m", "code": "rego_type_error", "location": {"file": "a.rego", "row": 3}}]}',
         [("a.rego", 3, "opa.type", "m")]),
        (b"error: 1 error occurred: a/b.rego:4: rego_parse_error: yaml: line 2\n\t# custom",
         [("a/b.rego", 4, "opa.parse", "yaml: line 2")]),
        (b"nothing of the kind", []), (b"{}", []), (b'{"errors": 3}', []), (b"\xff", []),
    ],
)  # fmt: skip
def test_what_opa_says_is_read_with_its_place(said: bytes, told: list[tuple[str, int, str, str]]):
    assert [(one.file, one.line, one.code, one.msg) for one in problems_in(said)] == told


SCAN = """rules:
  - id: python.odd
    languages: [python]
    severity: ERROR
    message: odd
    metadata: {source: said}
    pattern: odd()
"""
MARKED = {"semgrep/python/test.py": "# ruleid: python.odd\nodd()\n"}


def test_a_scan_rule_with_a_marked_line_is_whole():
    assert scan_rules.examine({"semgrep/python/rules.yml": SCAN, **MARKED})[1] == []


@pytest.mark.parametrize(
    ("text", "marked", "says"),
    [
        (SCAN, {}, "no test expects python.odd"),
        ("rules: []", MARKED, "a test expects python.odd"),
        (SCAN + SCAN.removeprefix("rules:\n"), MARKED, "two rules of one name"),
        ("a: [", MARKED, "not YAML"), ("3", MARKED, "no list `rules`"), ("rules: [3]", MARKED, "not a table"),
        (SCAN.replace("ERROR", "BAD"), MARKED, "a severity is one of"),
        (SCAN.replace("[python]", "[cobol]"), MARKED, "languages are of"),
        (SCAN.replace("[python]", "[[]]"), MARKED, "languages are of"),
        (SCAN.replace("message: odd", "message: 2026-01-01"), MARKED, "JSON does not have"),
        (SCAN.replace("{source: said}", "{}"), MARKED, "metadata.source"),
        (SCAN.replace("python.odd", "odd"), MARKED, "an id reads area.name"),
        (SCAN.replace("{source: said}", '{source: said, needs: "odd"}'), MARKED, "metadata.needs is a list"),
        (SCAN.replace("{source: said}", '{source: said, needs: [(o+)+d]}'), MARKED, "metadata.needs is a list"),
        (SCAN.replace("{source: said}", '{source: said, needs: [odd]}') + "    paths: {include: [x]}\n", MARKED,
         "takes the place of paths"),
        ("[" * 5000, MARKED, ""), ("rules: &a\n - *a\n", MARKED, "it has an alias"),
    ],
)  # fmt: skip
def test_a_scan_rule_that_is_not_whole_is_a_problem(text: str, marked: dict[str, str], says: str):
    problems = scan_rules.examine({"semgrep/python/rules.yml": text, **marked})[1]
    assert any(says in problem.msg for problem in problems)
    with pytest.raises(InputError):
        scan_rules.scan_rules({"semgrep/python/rules.yml": text, **marked})
