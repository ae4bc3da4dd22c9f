"""Problems in other tools' formats: whole documents, paths from the repository's root, hostile text made harmless."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

from evoguard.authoring import reports
from evoguard.authoring.problem import Problem

FOUND = [
    Problem("a/b.rego", 3, "policy.format", "it is, 100 % odd\n::error::x", "mend"),
    Problem("data.json", 0, "x.y", "m"),
]


def test_sarif_names_rule_place_and_level():
    doc = json.loads(reports.sarif(FOUND, "policies/"))
    assert doc["version"] == "2.1.0"
    (run,) = doc["runs"]
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["policy.format", "x.y"]
    one, two = run["results"]
    assert one["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "policies/a/b.rego", "uriBaseId": "ROOT"}, "region": {"startLine": 3},
    }  # fmt: skip
    assert (one["ruleId"], one["level"]) == ("policy.format", "error")
    assert "region" not in two["locations"][0]["physicalLocation"]
    assert json.loads(reports.sarif([], ""))["runs"][0]["results"] == []


def test_github_has_one_line_for_each_problem_whatever_its_text():
    lines = reports.github(FOUND, "policies/").split("\n")
    assert lines[0].startswith(
        "::error file=policies/a/b.rego,line=3,title=policy.format::it is, 100 %25 odd%0A::error"
    )
    assert [line.startswith("::error file=") for line in lines] == [True, True]
    assert reports.github([], "") == ""


def test_junit_counts_failures_and_empty_is_one_case():
    top = ElementTree.fromstring(reports.junit("policy lint", reports.cases_of(FOUND, "")))  # noqa: S314  (our own)
    assert (top.get("tests"), top.get("failures")) == ("2", "2")
    top = ElementTree.fromstring(reports.junit("policy lint", reports.cases_of([], "")))  # noqa: S314
    assert (top.get("tests"), top.get("failures")) == ("1", "0")
    ElementTree.fromstring(reports.junit("s", [("a\x00b", "c\ud800", "d\x1b")]))  # noqa: S314


def test_paths_are_told_from_the_repositorys_root(tmp_path: Path):
    (tmp_path / "r" / "rules").mkdir(parents=True)
    assert reports.from_repository(tmp_path / "r" / "rules") == ""
    (tmp_path / "r" / ".git").mkdir()
    assert reports.from_repository(tmp_path / "r" / "rules") == "rules/"
    assert reports.from_repository(tmp_path / "r") == ""
