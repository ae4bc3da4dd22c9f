"""A rule that was broken on purpose turns a test of the rules red. All edits: `evoguard policy mutate`, nightly."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.authoring import mutating
from evoguard.authoring.folder import Sources
from evoguard.authoring.mutating import Mutant, every, judged, mutants, mutate
from evoguard.errors import InputError, UnavailableError

pytestmark = pytest.mark.needs_opa
SAMPLE, SEED = 24, 7
OPA = Path(os.environ.get("EVOGUARD_OPA", "opa"))
SOURCES = Sources(Path(), bundle.sources())


def test_of_a_sample_of_edits_nearly_all_are_noticed() -> None:
    told: list[tuple[int, int, int]] = []
    found = mutate(OPA, SOURCES, sample=SAMPLE, seed=SEED, told=lambda *row: told.append(row))
    doc = found.as_json()
    assert found.count("killed") >= SAMPLE // 2
    assert found.count("survived") <= 3, doc["survivors"]  # a bound that another line holds as well changes nothing
    assert (found.made, len(told), told[-1][:2]) == (len(every(SOURCES)), SAMPLE, (SAMPLE, SAMPLE))


def test_an_edit_that_no_test_sees_survives_and_one_that_is_no_rego_is_none() -> None:
    path, text = "author/held.rego", SOURCES.texts["author/held.rego"]
    line = next(n for n, row in enumerate(text.splitlines(), 1) if row.startswith("# title"))
    assert judged(OPA, SOURCES, Mutant(path, line, "", "# title: The author is held")) == "survived"
    assert judged(OPA, SOURCES, Mutant(path, line, "", "title is held")) == "invalid"


def test_rules_whose_tests_are_red_as_they_stand_prove_nothing() -> None:
    test = SOURCES.texts["author/held_test.rego"] + "\ntest_red if 1 == 2\n"
    red = replace(SOURCES, texts={**SOURCES.texts, "author/held_test.rego": test})
    with pytest.raises(InputError, match="not green as they stand"):
        mutate(OPA, red, sample=1)


def test_an_opa_that_gives_no_answer_kills_nothing(tmp_path: Path) -> None:
    odd = tmp_path / "opa"
    odd.write_text("#!/bin/sh\n[ $1 = test ] && exit 1\nexit 0\n")
    odd.chmod(0o755)
    with pytest.raises(UnavailableError, match="gave no answer"):
        mutate(odd, SOURCES, sample=1)


def test_a_files_own_tests_are_asked_first_whatever_their_package_is_called() -> None:
    assert mutating.own_tests(SOURCES, "lib/lib.rego") == r"evoguard_test\.lib_test\."
    assert mutating.own_tests(SOURCES, "change/secret.rego") == r"evoguard_test\.change\.secret_test\."
    assert mutating.own_tests(SOURCES, "change/none.rego") == ""


def test_each_kind_of_edit_is_made() -> None:
    text = "deny contains 1 if {\n\tcount(input.x) > 3\n\tnot input.y\n}\n"
    made = {(mutant.line, mutant.after.strip()) for mutant in mutants("a.rego", text)}
    assert made == {
        (1, "notes contains 1 if {"), (1, "deny contains 2 if {"),
        (2, ""), (2, "not count(input.x) > 3"), (2, "count(input.x) >= 3"), (2, "count(input.x) > 4"),
        (3, ""), (3, "input.y"),
    }  # fmt: skip


def test_under_95_percent_and_none_killed_are_no_pass() -> None:
    one = Mutant("a.rego", 1, "x", "y")
    for killed, survived, ok in ((95, 5, True), (94, 6, False), (0, 0, False), (1, 0, True)):
        told = [(one, "killed")] * killed + [(one, "survived")] * survived + [(one, "invalid")] * 9
        assert mutating.Judged(told, 200).ok is ok
    with pytest.raises(InputError, match="there is no rule"):
        every(SOURCES, ["change.none"])
