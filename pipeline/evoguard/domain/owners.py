"""Who stands behind a name in CODEOWNERS: `[policy.owners]` of `.evoguard.toml`, at the base commit.

Source: docs/adr/0022-whose-approval-counts.md
"""

from __future__ import annotations

from collections.abc import Mapping

from evoguard.domain.canonical import Json
from evoguard.domain.identity import is_name

MOST_NAMES, MOST_PEOPLE, NAME_CHARS = 200, 50, 100


def people_of(value: object) -> dict[str, tuple[str, ...]]:
    """Return name → registered people, from a table `"@org/team" = ["alice", "bob"]`.

    Raises: ValueError with the words for a person, when it is anything else.
    """
    if not isinstance(value, Mapping) or len(value) > MOST_NAMES:
        raise ValueError(f"policy.owners is a table of at most {MOST_NAMES} names")
    return {_name(name): _people(name, people) for name, people in value.items()}


def _name(name: object) -> str:
    if not isinstance(name, str) or not 0 < len(name) <= NAME_CHARS or name.split() != [name]:
        raise ValueError(f"policy.owners: a name is one word of CODEOWNERS, of at most {NAME_CHARS} characters")
    return name


def _people(name: object, people: object) -> tuple[str, ...]:
    listed = people if isinstance(people, list) else []
    if not 0 < len(listed) <= MOST_PEOPLE or not all(isinstance(one, str) and is_name(one) for one in listed):
        raise ValueError(f"policy.owners: {str(name)[:NAME_CHARS]} is a list of 1-{MOST_PEOPLE} registered people")
    return tuple(dict.fromkeys(listed))


def asked(owned: Mapping[str, Json], people: Mapping[str, Json]) -> Json:
    """Return a path and its owners as rules read them: a name as `@person` for each person behind it, if known."""
    names = owned.get("names")
    found: list[Json] = []
    for name in names if isinstance(names, list) else []:
        known = people.get(name) if isinstance(name, str) else None
        found += [f"@{one}" for one in known] if isinstance(known, list) else [name]
    return {"path": owned.get("path"), "names": [one for n, one in enumerate(found) if one not in found[:n]]}
