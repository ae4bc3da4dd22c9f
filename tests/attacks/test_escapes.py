"""The probes of the escape bench: the judge believes nothing it was not shown, and for real nothing gets out."""

from __future__ import annotations

import asyncio
import json

import pytest

from evoguard.bench import escapes
from evoguard.bench.corpus.floods import FLOODS
from evoguard.bench.corpus.probes import LOOKS, PROBES

NEEDLE = "planted-0000"


def judged(kind: str, answer: dict[str, str] | None) -> str:
    told = b"" if answer is None else json.dumps(["a probe", answer]).encode()
    (found,) = escapes.judge([("a probe", kind, "1")], told, (NEEDLE,))
    return found.breach


def test_the_list_is_long_and_each_probe_has_a_name_of_its_own():
    assert len(PROBES) >= 90
    assert len({name for name, _, _ in PROBES}) == len(PROBES)
    assert {kind for _, kind, _ in PROBES} == {"denied", "blind", "guest"}
    assert {name for name, _, _ in PROBES} >= LOOKS


@pytest.mark.parametrize("row", PROBES, ids=lambda row: row[0])
def test_a_probe_is_an_expression(row):
    compile(row[2], row[0], "eval")


@pytest.mark.parametrize("kind", ["denied", "blind", "guest"])
@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (None, "no answer"),
        ({"broken": "NameError: x"}, "NameError"),
        ({"value": f"x {NEEDLE} y"}, "something of the host"),
    ],
)
def test_silence_a_broken_probe_and_a_find_are_breaches_whatever_was_hoped(kind, answer, says):
    assert says in judged(kind, answer)


@pytest.mark.parametrize(
    ("kind", "answer", "breach"),
    [
        ("denied", {"denied": "PermissionError"}, False),
        ("denied", {"denied": "signal 31"}, False),
        ("denied", {"value": "None"}, True),
        ("blind", {"value": "[]"}, False),
        ("guest", {"value": "0"}, False),
    ],
)
def test_an_answer_is_a_breach_only_where_it_must_be_denied(kind, answer, breach):
    assert bool(judged(kind, answer)) is breach


@pytest.mark.needs_gvisor
def test_no_probe_gets_anything_and_the_same_probes_find_it_without_a_sandbox(room, tmp_path_factory):
    async def both(host: escapes.Host) -> tuple[list[escapes.Result], int, bool, list[escapes.Result]]:
        async with escapes.listening(host):
            before = host.facts()
            held = await escapes.inside(host, room, PROBES)
            visits, same = len(host.visitors), before == host.facts()
            return held, visits, same, await escapes.outside(host)

    with escapes.planted(tmp_path_factory.mktemp("host")) as host:
        held, visits, same, bare = asyncio.run(both(host))
    assert [one for one in held if one.breach] == []
    assert len(held) == len(PROBES)
    assert (visits, same) == (0, True)
    assert "a listener on the host's loopback" in {one.name for one in bare if "of the host" in one.breach}


@pytest.mark.needs_gvisor
@pytest.mark.parametrize("name", ["forks", "output"])
async def test_a_flood_is_held_and_a_flood_that_is_not_would_be_told(room, name):
    one = next(flood for flood in FLOODS if flood[0] == name)
    assert (await escapes.flood(one, room)).breach == ""
    assert (await escapes.flood((*one[:3], ("void",), *one[4:]), room)).breach
    assert "met the limit" in (await escapes.flood((*one[:5], "nothing"), room)).breach
