"""Names that are taken for others are found, honest ones are not."""

from __future__ import annotations

import pytest

from evoguard.supply.lookalike import Known, latin_of, one_edit
from evoguard.supply.popular import POPULAR
from unit.supply.given_trees import looked_at

KNOWN = Known(POPULAR["PyPI"] | {"lending-core"})


@pytest.mark.parametrize(
    ("name", "like", "how"),
    [
        ("requets", "requests", "one edit"),
        ("reqeusts", "requests", "one edit"), ("requestss", "requests", "one edit"),
        ("lending-cor", "lending-core", "one edit"), ("1xml", "lxml", "same look"), ("nurnpy", "numpy", "same look"),
        ("djang0", "django", "same look"), ("lendingcore", "lending-core", "same look"),
        ("urllib3x", "urllib3", "one edit"),
    ],
)  # fmt: skip
def test_likenesses(name: str, like: str, how: str) -> None:
    found = KNOWN.alike(name, name)
    assert (found.name, found.how) == (like, how)


@pytest.mark.parametrize("said", ["r\u0435quests", "reque\u0455ts", "\uff52equests", "\u0280equests", "n\u03c5mpy"])
def test_letters_of_another_script(said: str) -> None:
    assert KNOWN.alike(said, said).how == "other script"


def test_which_name_letters_of_another_script_stand_for() -> None:
    assert latin_of("r\u0435qu\u0435sts") == "requests"


@pytest.mark.parametrize("name", ["requests", "numpy", "lending-core", "somethingelse", "six", "toml", "attr", "x"])
def test_honest_names(name: str) -> None:
    assert KNOWN.alike(name, name).how == ""


@pytest.mark.parametrize(
    ("a", "b", "told"),
    [("abc", "abc", False), ("abc", "acb", True), ("abc", "ab", True), ("abc", "abd", True), ("abcd", "badc", False),
     ("", "a", True), ("abc", "cab", False)],
)  # fmt: skip
def test_one_edit(a: str, b: str, told: bool) -> None:
    assert one_edit(a, b) is told
    assert one_edit(b, a) is told


def test_popular_names_are_not_taken_for_each_other() -> None:
    for names in POPULAR.values():
        known = Known(names)
        assert [name for name in names if known.alike(name, name).how] == []


def test_a_typosquat_in_a_requirements_file_is_both_a_fault_and_a_likeness() -> None:
    found = looked_at({"requirements.txt": "requests==1\n"}, {"requirements.txt": "requests==1\nr\u0435quests==1\n"})
    assert [(one.alike.name, one.alike.how) for one in found.brought] == [("requests", "other script")]
    assert found.faults


def test_what_the_base_has_is_no_likeness_of_anything() -> None:
    base = {"requirements.txt": "requets==1\n"}
    assert [one.alike.how for one in looked_at(base, {"requirements.txt": "requets==2\n"}).brought] == [""]
