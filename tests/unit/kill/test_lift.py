from __future__ import annotations

import pytest

from evoguard.adapters.latch_files import write_latch
from evoguard.domain.latch import Latch
from evoguard.errors import AuthError, InputError
from evoguard.kill import lift
from unit.kill.killing import NOW, Plant, an_order
from unit.signing.people import Actor, an_actor


@pytest.fixture
def latch(plant: Plant) -> Latch:
    return write_latch(plant.folder, an_order())


def still_killed(plant: Plant) -> bool:
    return plant.latches().board().killed(component="scoring", flag="")


async def test_the_first_person_waits_for_the_second(plant: Plant, latch: Latch, ada: Actor, bob: Actor):
    parts = plant.lifting()
    first = await lift(parts, kill_id=latch.id, envelope=ada.signs(latch.id), by="ada", now=NOW)
    assert (first.people, first.lifted, first.needed) == (("ada",), False, 2)
    assert still_killed(plant)
    second = await lift(parts, kill_id=latch.id, envelope=bob.signs(latch.id), by="bob", now=NOW)
    assert (second.people, second.lifted) == (("ada", "bob"), True)
    assert not still_killed(plant)


async def test_one_person_counts_once(plant: Plant, latch: Latch, ada: Actor):
    parts = plant.lifting()
    await lift(parts, kill_id=latch.id, envelope=ada.signs(latch.id), by="ada", now=NOW)
    with pytest.raises(InputError) as caught:
        await lift(parts, kill_id=latch.id, envelope=ada.signs(latch.id, nonce="m" * 32), by="ada", now=NOW)
    assert caught.value.code == "lift.twice"
    assert still_killed(plant)


async def test_an_agent_lifts_nothing(plant: Plant, latch: Latch):
    bot = an_actor("bot", "agent")
    plant.registry.add(bot)
    with pytest.raises(AuthError):
        await lift(plant.lifting(), kill_id=latch.id, envelope=bot.signs(latch.id), by="bot", now=NOW)
    assert list((plant.folder / "lifts").iterdir()) == []


async def test_an_agent_that_signs_in_a_persons_name_lifts_nothing(plant: Plant, latch: Latch, ada: Actor):
    bot = an_actor("ada", "agent")
    with pytest.raises(AuthError):
        await lift(plant.lifting(), kill_id=latch.id, envelope=bot.signs(latch.id), by="ada", now=NOW)


async def test_a_stranger_and_a_revoked_person_lift_nothing(plant: Plant, latch: Latch, ada: Actor):
    eve = an_actor("eve")
    plant.registry.revoke(ada)
    parts = plant.lifting()
    for actor in (eve, ada):
        with pytest.raises(AuthError):
            await lift(parts, kill_id=latch.id, envelope=actor.signs(latch.id), by=actor.identity.name, now=NOW)


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"purpose": "approve"}, "lift.subject"),
        ({"subject": "kill-00000001"}, "lift.subject"),
        ({"expires": NOW}, "lift.expired"),
        ({"expires": 1}, "lift.expired"),
    ],
)
async def test_a_signature_for_something_else_lifts_nothing(
    plant: Plant, latch: Latch, ada: Actor, changes: dict[str, object], code: str
):
    signed = {"subject": latch.id, **changes}
    with pytest.raises(InputError) as caught:
        await lift(plant.lifting(), kill_id=latch.id, envelope=ada.signs(**signed), by="ada", now=NOW)
    assert caught.value.code == code
    assert list((plant.folder / "lifts").iterdir()) == []


async def test_a_kill_that_does_not_exist_is_not_lifted(plant: Plant, ada: Actor):
    with pytest.raises(InputError) as caught:
        await lift(plant.lifting(), kill_id="kill-00000001", envelope=ada.signs("kill-00000001"), by="ada", now=NOW)
    assert caught.value.code == "lift.unknown"


async def test_a_lifted_kill_is_not_lifted_again(plant: Plant, latch: Latch, ada: Actor, bob: Actor):
    parts = plant.lifting()
    for actor in (ada, bob):
        await lift(parts, kill_id=latch.id, envelope=actor.signs(latch.id), by=actor.identity.name, now=NOW)
    with pytest.raises(InputError) as caught:
        await lift(parts, kill_id=latch.id, envelope=ada.signs(latch.id), by="ada", now=NOW)
    assert caught.value.code == "lift.done"


async def test_the_author_of_the_killed_change_is_a_person_like_another(plant: Plant, ada: Actor, bob: Actor):
    latch = write_latch(plant.folder, an_order(by="ada"))
    parts = plant.lifting()
    for actor in (ada, bob):
        report = await lift(parts, kill_id=latch.id, envelope=actor.signs(latch.id), by=actor.identity.name, now=NOW)
    assert report.lifted


async def test_garbage_in_a_persons_place_does_not_keep_them_from_lifting(
    plant: Plant, latch: Latch, ada: Actor, bob: Actor
):
    (plant.folder / "lifts" / f"{latch.id}.ada.json").write_text("garbage")
    parts = plant.lifting()
    for actor in (ada, bob):
        report = await lift(parts, kill_id=latch.id, envelope=actor.signs(latch.id), by=actor.identity.name, now=NOW)
    assert report.lifted


async def test_two_names_with_one_key_are_told_that_they_are_one(plant: Plant, latch: Latch, ada: Actor):
    twin = an_actor("twin", key=ada.key)
    plant.registry.add(twin)
    parts = plant.lifting()
    await lift(parts, kill_id=latch.id, envelope=ada.signs(latch.id), by="ada", now=NOW)
    with pytest.raises(AuthError) as caught:
        await lift(parts, kill_id=latch.id, envelope=twin.signs(latch.id), by="twin", now=NOW)
    assert caught.value.code == "lift.shared_key"
    assert [path.name for path in (plant.folder / "lifts").iterdir()] == [f"{latch.id}.ada.json"]
    assert still_killed(plant)


async def test_an_unreadable_latch_is_named_because_it_keeps_everything_killed(
    plant: Plant, latch: Latch, ada: Actor, bob: Actor
):
    (plant.folder / "broken.json").write_text("{")
    parts = plant.lifting()
    for actor in (ada, bob):
        report = await lift(parts, kill_id=latch.id, envelope=actor.signs(latch.id), by=actor.identity.name, now=NOW)
    assert (report.lifted, report.unreadable) == (True, ("broken.json",))
    assert still_killed(plant)
