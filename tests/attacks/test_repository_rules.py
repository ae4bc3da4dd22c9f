"""A repository's own rules can only refuse: whoever swaps, edits, unsigns, loosens or breaks them opens nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from evoguard import bundle
from evoguard.domain.component import parse
from evoguard.errors import InputError
from evoguard.exam import repository_gates as own
from evoguard.exam.gate import Gate
from evoguard.exam.hall import LINK, Hall
from evoguard.exam.repository_gates import LOOSE, TIGHT, TRAP, answer, brought, code, digest, named, parts, seal
from evoguard.exam.running import Examiner
from evoguard.views.asked import asked
from evoguard.views.story import story
from evoguard.wiring.backtest import backtest
from evoguard.wiring.capsule import capsule
from evoguard.wiring.explaining import explain
from evoguard.wiring.reading import Reading

TOOL = Path(__file__).parents[2] / "deploy" / "tools" / "verify_capsule.py"


@pytest.fixture
def hall(tmp_path: Path) -> Iterator[Hall]:
    made = Hall(tmp_path / "hall")
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "hall").mkdir(mode=0o700)


@pytest.fixture(scope="module")
def examiner() -> Iterator[Examiner]:
    with Examiner() as made:
        yield made


@pytest.mark.parametrize("gate", own.GATES, ids=[gate.name for gate in own.GATES])
def test_each_gate_holds_the_attack_that_goes_through_without_it(examiner: Examiner, gate: Gate) -> None:
    assert examiner.examine(gate).why == ""


async def test_rules_that_allow_are_asked_and_the_change_goes_on(hall: Hall) -> None:
    assert (await brought(hall, parts(LOOSE))).through


async def test_they_are_those_of_the_base_and_not_those_of_the_candidate(hall: Hall) -> None:
    loose = parts(LOOSE)
    head = {"scoring.py": "RATE = 4\n", "rules/data.json": loose[bundle.DATA].decode(),
            "rules/manifest.json": loose[bundle.MANIFEST].decode(),
            f"rules/{bundle.SIGNATURE}": seal(hall, digest(loose)).decode(),
            ".evoguard.toml": own.COMPONENT.format(component="", policy=named(loose))}  # fmt: skip
    seen = await brought(hall, parts(), head=head, author="alice", people=("bob", "carol"))
    assert "change.unbounded" in seen.said


async def test_an_agent_may_not_touch_their_folder(hall: Hall) -> None:
    seen = await brought(hall, parts(LOOSE), head={"rules/data.json": "{}\n"})
    assert seen.said == "approval.guard_paths"


async def test_their_allow_lifts_nothing_that_the_rules_in_force_deny(hall: Hall) -> None:
    hall.room.scanned = False
    seen = await brought(hall, parts(LOOSE, code({"review": answer(), "admit": answer()})))
    assert seen.said == "evidence.not_scanned"


async def test_a_lower_quorum_of_theirs_has_no_effect(hall: Hall) -> None:
    files = parts(LOOSE, code({"review": answer(quorum=1), "admit": answer(quorum=1)}))
    origin = hall.origin(
        component="quorum = 3", policy=named(files),
        beside={f"rules/{name}": raw for name, raw in {**files, bundle.SIGNATURE: seal(hall, digest(files))}.items()},
    )  # fmt: skip
    seen = await hall.carried(await hall.submit(origin=origin), "alice", "bob")
    assert seen.said.startswith("waits")


async def test_a_higher_quorum_of_theirs_is_asked_for(hall: Hall) -> None:
    files = parts(LOOSE, code({"review": answer(quorum=3), "admit": answer(quorum=3)}))
    seen = await brought(hall, files, people=("alice", "bob"))
    assert seen.said.startswith("waits")


async def test_what_they_want_people_to_look_at_is_shown_to_who_signs(hall: Hall) -> None:
    look = {"code": "change.unbounded", "msg": "look here", "path": "", "term": ""}
    files = parts(LOOSE, code({"review": answer(escalate=[look]), "admit": answer()}))
    await brought(hall, files, people=("alice",))
    (change,) = [row.id for row in await hall.opened.queries.changes()]
    assert look in (await asked(Reading(hall.opened), change, now_s=hall.now_s))["escalated"]


SAYS = {
    "a rule left out": answer(rules_seen=["change.secret"]),
    "no rule seen": answer(rules_seen=[]),
    "an allow beside a denial": answer(deny=[{"code": "change.secret", "msg": "x", "path": "", "term": ""}]),
    "a code of nobody's": answer(allow=False, deny=[{"code": "my.own", "msg": "x", "path": "", "term": ""}]),
    "an allow that is a word": answer(allow="yes"),
    "no quorum": answer(quorum=0),
    "nothing": {},
}


@pytest.mark.parametrize("said", SAYS.values(), ids=SAYS)
async def test_an_answer_that_is_none_is_a_refusal(hall: Hall, said) -> None:
    seen = await brought(hall, parts(LOOSE, code({"review": said, "admit": answer()})))
    assert seen.said == "repository.no_verdict"


@pytest.mark.parametrize("wasm", [code({}, TRAP), b"\0asm no", b"\0asm\1\0\0\0"], ids=["trap", "no module", "empty"])
async def test_rules_that_break_are_a_refusal(hall: Hall, wasm: bytes) -> None:
    assert (await brought(hall, parts(LOOSE, wasm))).said == "repository.no_verdict"


async def test_rules_that_take_too_long_beside_their_fuel_are_a_refusal(hall: Hall, monkeypatch) -> None:
    monkeypatch.setattr("evoguard.adapters.repository_rules.WALL_S", 0.0)
    assert (await brought(hall, parts(LOOSE))).said == "repository.no_verdict"


@pytest.mark.parametrize("name", [bundle.MANIFEST, bundle.WASM, bundle.DATA, bundle.SIGNATURE])
async def test_a_part_that_is_missing_is_a_refusal(hall: Hall, name: str) -> None:
    loose = parts(LOOSE)
    files = {**loose, bundle.SIGNATURE: seal(hall, digest(loose))}
    del files[name]
    origin = hall.origin(policy=named(loose), beside={f"rules/{key}": raw for key, raw in files.items()})
    assert (await hall.carried(await hall.submit(origin=origin))).said == "repository.missing"


@pytest.mark.parametrize("name", [bundle.MANIFEST, bundle.WASM, bundle.DATA, bundle.SIGNATURE])
async def test_a_huge_part_is_not_read(hall: Hall, name: str) -> None:
    loose = parts(LOOSE)
    files = {**loose, bundle.SIGNATURE: seal(hall, digest(loose)), name: b" " * ((1 << 20) + 1)}
    origin = hall.origin(policy=named(loose), beside={f"rules/{key}": raw for key, raw in files.items()})
    assert (await hall.carried(await hall.submit(origin=origin))).said == "repository.unreadable"


async def test_a_link_in_the_place_of_a_part_is_a_refusal(hall: Hall) -> None:
    loose = parts(LOOSE)
    files = {
        **loose,
        bundle.SIGNATURE: seal(hall, digest(loose)),
        bundle.DATA: LINK + b"other.json",
        "other.json": loose[bundle.DATA],
    }
    origin = hall.origin(policy=named(loose), beside={f"rules/{key}": raw for key, raw in files.items()})
    assert (await hall.carried(await hall.submit(origin=origin))).said == "repository.unreadable"


@pytest.mark.parametrize("raw", [b"{}", b"no", b"\xff", b'{"payload":1}'])
async def test_a_signature_that_is_none_is_a_refusal(hall: Hall, raw: bytes) -> None:
    assert (await brought(hall, parts(LOOSE), signature=raw)).said == "repository.signature"


async def test_a_signer_who_is_nobody_is_a_refusal(hall: Hall) -> None:
    seen = await brought(hall, parts(LOOSE), signer="mallory")
    assert seen.said == "repository.signer"


async def test_a_signer_who_is_taken_out_of_the_register_is_one_no_more_also_after_the_review(hall: Hall) -> None:
    loose = parts(LOOSE)
    files = {**loose, bundle.SIGNATURE: seal(hall, digest(loose), "carol")}
    origin = hall.origin(policy=named(loose, "carol"), beside={f"rules/{key}": raw for key, raw in files.items()})
    change = await hall.submit(origin=origin)
    await hall.drive(change)
    assert await hall.asked(change)
    hall.opened.con.execute("update identities set revoked=1 where name='carol'")
    await hall.vote(change, "alice", "bob")
    await hall.drive(change)
    assert (await hall.outcome(change)).said == "repository.signer"


async def test_a_guard_that_cannot_ask_them_lets_nothing_go_on(hall: Hall) -> None:
    from dataclasses import replace

    hall.driver.ports = replace(hall.driver.ports, repository_rules=None)
    assert (await brought(hall, parts(LOOSE))).said == "repository.no_verdict"


GOOD = 'path = "rules"\nbundle = "sha256:' + "0" * 64 + '"\nsigner = "alice"'


@pytest.mark.parametrize(
    "table",
    ["", GOOD + "\nmore = 1", GOOD.replace('"rules"', '"../rules"'), GOOD.replace('"rules"', '"/rules"'),
     GOOD.replace('"rules"', '"rules/**"'), GOOD.replace('"rules"', '""'), GOOD.replace("sha256:", "sha1:"),
     GOOD.replace('"alice"', '"Alice B"'), GOOD.replace('"alice"', "1"), GOOD.replace('"rules"', '".git"')],
)  # fmt: skip
def test_a_table_that_cannot_be_told_stops_the_change(table: str) -> None:
    with pytest.raises(InputError) as caught:
        parse(f"version = 1\n[policy.rules]\n{table}\n".encode())
    assert caught.value.code == "component.invalid"


def test_a_table_that_is_whole_names_them_and_guards_their_folder() -> None:
    rules = parse(f"version = 1\n[policy.rules]\n{GOOD}\n".encode())
    assert rules.rules is not None
    assert rules.tighten()["guard"] == ["rules/**"]


def verified(hall: Hall, raw: bytes, *more: str) -> tuple[int, str]:
    (hall.folder / "c.capsule").write_bytes(raw)
    argv = [
        sys.executable,
        "-I",
        str(TOOL),
        str(hall.folder / "c.capsule"),
        "--key",
        str(hall.settings.service_pub),
        *more,
    ]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env={})
    return done.returncode, done.stdout


async def only(hall: Hall) -> str:
    (change,) = [row.id for row in await hall.opened.queries.changes()]
    return change


async def test_a_capsule_decides_them_again_and_a_stranger_may_demand_them(hall: Hall) -> None:
    loose = parts(LOOSE)
    await brought(hall, loose)
    raw = await capsule(hall.settings, await only(hall))
    status, said = verified(hall, raw, "--repository", digest(loose))
    assert (status, said.count(f"the repository's {digest(loose)}: True")) == (0, 2), said
    assert verified(hall, raw, "--repository", digest(parts()))[0] == 1
    doc = json.loads(raw)
    del doc["parts"][digest(loose)]
    assert verified(hall, json.dumps(doc).encode())[0] == 1


@pytest.mark.parametrize(("files", "word"), [(parts(TIGHT), "False"), (parts(LOOSE, code({}, TRAP)), "no verdict")])
async def test_a_refusal_of_theirs_is_in_the_capsule(hall: Hall, files, word: str) -> None:
    await brought(hall, files)
    status, said = verified(hall, await capsule(hall.settings, await only(hall)))
    assert (status, f"the repository's {digest(files)}: {word}" in said) == (0, True), said


async def test_show_backtest_and_explain_do_not_leave_them_out(hall: Hall) -> None:
    files = parts(TIGHT)
    await brought(hall, files)
    change = await only(hall)
    told = (await story(Reading(hall.opened), change))["decision"]["repository"]
    assert (told["bundle"], told["signer"], told["allow"]) == (digest(files), "alice", False)
    assert (await backtest(hall.settings, bundle=None, since_ms=0))["repository_rules"] == 1
    (stage,) = (await explain(hall.settings, change))["stages"]
    assert stage["repository"] == digest(files)
