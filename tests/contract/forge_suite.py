"""What every forge promises. A test module gives the fixtures `forge`, `what` and `raise_epoch`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from evoguard.domain.change import CommitId
from evoguard.errors import FencedError
from evoguard.ports.forge import Forge, Publication

RaiseEpoch = Callable[[int], Awaitable[None]]


class ForgeSuite:
    """The promises of ports.forge.Forge."""

    async def test_an_unreleased_component_has_no_refs(self, forge: Forge, what: Publication) -> None:
        refs = await forge.refs(what.repo, what.component, what.branch)
        assert (refs.tip, refs.known_good, refs.previous, refs.rollout) == ("", "", "", "")

    async def test_a_publication_opens_a_rollout_on_known_good(self, forge: Forge, what: Publication) -> None:
        commit = await forge.publish(what)
        refs = await forge.refs(what.repo, what.component, what.branch)
        assert (refs.tip, refs.known_good, refs.previous, refs.rollout) == (commit, what.base, "", commit)
        assert commit not in (what.head, what.base)

    async def test_publishing_again_returns_the_same_commit(self, forge: Forge, what: Publication) -> None:
        assert await forge.publish(what) == await forge.publish(what)

    async def test_a_branch_that_moved_fences(self, forge: Forge, what: Publication) -> None:
        commit = await forge.publish(what)
        await forge.promote(what, commit)
        with pytest.raises(FencedError) as caught:
            await forge.publish(replace(what, change="ch-aaaaaaaaaaaa", message="another"))
        assert caught.value.code == "fenced.base_moved"

    async def test_another_open_rollout_fences(self, forge: Forge, what: Publication) -> None:
        commit = await forge.publish(what)
        with pytest.raises(FencedError) as caught:
            await forge.publish(replace(what, change="ch-aaaaaaaaaaaa", base=commit))
        assert caught.value.code == "fenced.rollout_open"

    async def test_a_publication_of_an_old_epoch_moves_nothing(
        self, forge: Forge, what: Publication, raise_epoch: RaiseEpoch
    ) -> None:
        before = await forge.refs(what.repo, what.component, what.branch)
        await raise_epoch(1)
        with pytest.raises(FencedError) as caught:
            await forge.publish(what)
        assert caught.value.code == "fenced.epoch"
        assert await forge.refs(what.repo, what.component, what.branch) == before

    async def test_a_publication_of_the_new_epoch_is_made(
        self, forge: Forge, what: Publication, raise_epoch: RaiseEpoch
    ) -> None:
        await raise_epoch(2)
        assert await forge.publish(replace(what, epoch=2))

    async def test_an_epoch_never_falls(self, forge: Forge, what: Publication, raise_epoch: RaiseEpoch) -> None:
        await raise_epoch(3)
        await raise_epoch(2)
        with pytest.raises(FencedError):
            await forge.publish(replace(what, epoch=2))

    async def test_promotion_moves_known_good_and_closes_the_rollout(self, forge: Forge, what: Publication) -> None:
        commit = await forge.publish(what)
        await forge.promote(what, commit)
        await forge.promote(what, commit)
        refs = await forge.refs(what.repo, what.component, what.branch)
        assert (refs.tip, refs.known_good, refs.previous, refs.rollout) == (commit, commit, what.base, "")

    async def test_republishing_what_was_promoted_opens_no_rollout(self, forge: Forge, what: Publication) -> None:
        commit = await forge.publish(what)
        await forge.promote(what, commit)
        assert await forge.publish(what) == commit
        assert (await forge.refs(what.repo, what.component, what.branch)).rollout == ""

    async def test_a_promotion_of_an_old_epoch_moves_nothing(
        self, forge: Forge, what: Publication, raise_epoch: RaiseEpoch
    ) -> None:
        commit = await forge.publish(what)
        await raise_epoch(1)
        with pytest.raises(FencedError) as caught:
            await forge.promote(what, commit)
        assert caught.value.code == "fenced.epoch"
        assert (await forge.refs(what.repo, what.component, what.branch)).known_good == what.base

    async def test_a_reverted_rollout_cannot_be_promoted(self, forge: Forge, what: Publication) -> None:
        commit = await forge.publish(what)
        await forge.revert(what.repo, what.component, what.branch, reason="errors rose")
        with pytest.raises(FencedError):
            await forge.promote(what, commit)

    async def test_a_revert_closes_the_rollout_and_keeps_known_good(self, forge: Forge, what: Publication) -> None:
        await forge.publish(what)
        reverted = await forge.revert(what.repo, what.component, what.branch, reason="errors rose")
        refs = await forge.refs(what.repo, what.component, what.branch)
        assert (refs.tip, refs.known_good, refs.rollout) == (reverted, what.base, "")

    async def test_reverting_twice_is_reverting_once(self, forge: Forge, what: Publication) -> None:
        await forge.publish(what)
        first = await forge.revert(what.repo, what.component, what.branch, reason="errors rose")
        assert await forge.revert(what.repo, what.component, what.branch, reason="errors rose") is None
        assert (await forge.refs(what.repo, what.component, what.branch)).tip == first

    async def test_known_good_cannot_be_reverted(self, forge: Forge, what: Publication) -> None:
        await forge.promote(what, await forge.publish(what))
        assert await forge.revert(what.repo, what.component, what.branch, reason="too late") is None

    async def test_a_finished_release_that_was_killed_goes_back_to_the_one_before_it_once(
        self, forge: Forge, what: Publication, raise_epoch: RaiseEpoch
    ) -> None:
        where, commit = (what.repo, what.component, what.branch), await forge.publish(what)
        await forge.promote(what, commit)
        await raise_epoch(9)
        back = await forge.retreat(*where, killed=commit, reason="killed")
        refs = await forge.refs(*where)
        assert (refs.tip, refs.known_good, refs.previous, refs.rollout) == (back, what.base, "", "")
        assert back not in (None, commit, what.base)
        assert await forge.retreat(*where, killed=commit, reason="killed") is None
        assert await forge.retreat(*where, killed=what.base, reason="killed") is None
        assert await forge.revert(*where, reason="killed") is None
        assert (await forge.refs(*where)).tip == back

    async def test_what_is_not_known_good_is_no_finished_release(self, forge: Forge, what: Publication) -> None:
        where, commit = (what.repo, what.component, what.branch), await forge.publish(what)
        for killed in ("", commit, what.base):
            assert await forge.retreat(*where, killed=killed, reason="killed") is None
        await forge.revert(*where, reason="killed")
        assert await forge.retreat(*where, killed=what.base, reason="killed") is None
        assert (await forge.refs(*where)).known_good == what.base

    async def test_a_revert_needs_no_epoch(self, forge: Forge, what: Publication, raise_epoch: RaiseEpoch) -> None:
        await forge.publish(what)
        await raise_epoch(9)
        assert await forge.revert(what.repo, what.component, what.branch, reason="killed") is not None

    async def test_what_was_reverted_is_not_published_again(self, forge: Forge, what: Publication) -> None:
        await forge.publish(what)
        await forge.revert(what.repo, what.component, what.branch, reason="errors rose")
        with pytest.raises(FencedError) as caught:
            await forge.publish(what)
        assert caught.value.code == "fenced.base_moved"

    async def test_of_two_publishers_one_wins(self, forge: Forge, what: Publication) -> None:
        other = replace(what, change="ch-aaaaaaaaaaaa")
        answers = await asyncio.gather(forge.publish(what), forge.publish(other), return_exceptions=True)
        assert sorted(type(answer).__name__ for answer in answers) == ["FencedError", "str"]
        winner = next(answer for answer in answers if isinstance(answer, str))
        assert (await forge.refs(what.repo, what.component, what.branch)).rollout == CommitId(winner)
