"""Who stands behind a name in CODEOWNERS, as `.evoguard.toml` says it; anything else is refused with words."""

from __future__ import annotations

import pytest

from evoguard.domain.component import parse
from evoguard.domain.owners import MOST_NAMES, MOST_PEOPLE, asked, people_of
from evoguard.errors import InputError


def test_a_team_is_its_people_and_other_names_stay():
    people = {"@org/pay": ["ada", "grace"], "a@example.org": ["ada"]}
    assert asked({"path": "a.py", "names": ["@org/pay", "@linus"]}, people) == {
        "path": "a.py", "names": ["@ada", "@grace", "@linus"],
    }  # fmt: skip
    assert asked({"path": "b.py", "names": ["a@example.org", "@org/pay"]}, people) == {
        "path": "b.py", "names": ["@ada", "@grace"],
    }  # fmt: skip
    assert asked({"path": "c.py", "names": ["@org/other"]}, people) == {"path": "c.py", "names": ["@org/other"]}


def test_one_person_named_twice_is_one():
    assert people_of({"@a": ["ada", "ada"]}) == {"@a": ("ada",)}


@pytest.mark.parametrize(
    "wrong",
    [
        "ada", ["@a"], {"@a": "ada"}, {"@a": []}, {"@a": ["Ada"]}, {"@a": [1]}, {"@a": ["ada"] * (MOST_PEOPLE + 1)},
        {"": ["ada"]}, {"@a b": ["ada"]}, {"@a\n": ["ada"]}, {"x" * 101: ["ada"]},
        {f"@n{n}": ["ada"] for n in range(MOST_NAMES + 1)},
    ],
)  # fmt: skip
def test_anything_else_is_refused(wrong):
    with pytest.raises(ValueError, match=r"policy\.owners"):
        people_of(wrong)


def test_the_component_file_carries_them_and_names_what_is_wrong():
    assert parse(b'version = 1\n[policy.owners]\n"@pay" = ["ada"]\n').owners == {"@pay": ("ada",)}
    assert parse(None).owners == {}
    with pytest.raises(InputError, match=r"policy\.owners") as told:
        parse(b'version = 1\n[policy.owners]\n"@pay" = "ada"\n')
    assert told.value.code == "component.invalid"
