from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from evoguard.adapters.git.mirror import Mirror
from evoguard.adapters.git.sources import GitSources
from evoguard.errors import InputError
from given_git import Source, git, objects_in, patch_between


@pytest.fixture
def source(tmp_path: Path) -> Source:
    made = Source(tmp_path / "My Repo")
    made.commit({"app.py": "x = 2\n"}, branch="topic")
    return made


@pytest.fixture
def repos(tmp_path: Path) -> Path:
    return tmp_path / "repos"


@pytest.fixture
def mirror(repos: Path) -> Mirror:
    return Mirror(repos)


async def refused(mirror: Mirror, source: object, head: str = "topic", base: str = "main") -> str:
    with pytest.raises(InputError) as caught:
        await mirror.fetch(str(source), head=head, base=base)
    assert caught.value.code
    return caught.value.code


async def test_names_become_full_ids_once(source: Source, mirror: Mirror) -> None:
    fetched = await mirror.fetch(source.path, head="topic", base="main")
    assert fetched.head == git(source.path, "rev-parse", "topic")
    assert fetched.base == source.base
    assert fetched.tree == git(source.path, "rev-parse", "topic^{tree}")
    assert fetched.repo.startswith("my-repo-")


@pytest.mark.parametrize("name", ["HEAD", "refs/heads/topic", "v1", "remote/topic", "packed", "short", "full"])
async def test_a_head_is_named_in_many_ways(source: Source, mirror: Mirror, name: str) -> None:
    full = git(source.path, "rev-parse", "topic")
    git(source.path, "tag", "-a", "-m", "x", "v1", "topic")
    git(source.path, "update-ref", "refs/remotes/remote/topic", full)
    git(source.path, "branch", "packed", "topic")
    git(source.path, "pack-refs", "--all")
    asked = {"short": full[:9], "full": full}.get(name, name)
    assert (await mirror.fetch(source.path, head=asked, base="main")).head == full


async def test_a_branch_that_looks_like_an_id_wins_only_over_short_ids(source: Source, mirror: Mirror) -> None:
    topic = git(source.path, "rev-parse", "topic")
    other = source.commit({"b.py": "1\n"}, branch="deadbeef")
    git(source.path, "update-ref", f"refs/heads/{topic}", other)
    assert (await mirror.fetch(source.path, head="deadbeef", base="main")).head == other
    assert (await mirror.fetch(source.path, head=topic, base="main")).head == topic


async def test_bare_repositories_and_worktrees_share_their_mirror(
    tmp_path: Path, source: Source, mirror: Mirror
) -> None:
    git(source.path, "worktree", "add", "-q", "-b", "wt", str(tmp_path / "tree"))
    there = await mirror.fetch(tmp_path / "tree", head="HEAD", base="main")
    assert there == await mirror.fetch(source.path, head="topic", base="main")
    assert there == await mirror.fetch(source.path / ".git", head="topic", base="main")


async def test_a_path_with_separators_and_quotes_is_read(tmp_path: Path, mirror: Mirror) -> None:
    made = Source(tmp_path / 'a:b "c" \\d')
    made.commit({"app.py": "x = 3\n"}, branch="topic")
    assert (await mirror.fetch(made.path, head="topic", base="main")).base == made.base


async def test_fetching_again_gives_the_same(source: Source, mirror: Mirror) -> None:
    first = await mirror.fetch(source.path, head="topic", base="main")
    await mirror.pin(first.repo, "ch-0123456789ab", first.base, first.head)
    assert await mirror.fetch(source.path, head="topic", base="main") == first


async def test_a_pin_keeps_both_commits(source: Source, mirror: Mirror, repos: Path) -> None:
    fetched = await mirror.fetch(source.path, head="topic", base="main")
    await mirror.pin(fetched.repo, "ch-0123456789ab", fetched.base, fetched.head)
    await mirror.pin(fetched.repo, "ch-0123456789ab", fetched.base, fetched.head)
    bare = repos / f"{fetched.repo}.git"
    git(bare, "gc", "-q", "--prune=now")
    assert git(bare, "rev-parse", "refs/evoguard/incoming/ch-0123456789ab/head") == fetched.head
    assert git(bare, "cat-file", "-t", fetched.base) == "commit"
    with pytest.raises(InputError):
        await mirror.pin(fetched.repo, "../../heads/x", fetched.base, fetched.head)


async def test_a_mirror_has_no_hooks_and_is_private(source: Source, mirror: Mirror, repos: Path) -> None:
    fetched = await mirror.fetch(source.path, head="topic", base="main")
    bare = repos / f"{fetched.repo}.git"
    assert not (bare / "hooks").exists()
    assert bare.stat().st_mode & 0o077 == 0


async def test_refusals_have_their_codes(tmp_path: Path, source: Source, mirror: Mirror) -> None:
    (tmp_path / "plain").mkdir()
    assert await refused(mirror, tmp_path / "nowhere") == "repo.missing"
    assert await refused(mirror, "https://example.org/x.git") == "repo.missing"
    assert await refused(mirror, "ext::sh -c touch") == "repo.missing"
    assert await refused(mirror, tmp_path / "plain") == "repo.not_git"
    assert await refused(mirror, source.path, head="nothing") == "ref.missing"
    assert await refused(mirror, source.path, head="f" * 40) == "ref.missing"
    assert await refused(mirror, source.path, head="main") == "change.head_equals_base"


async def test_an_empty_commit_changes_nothing(source: Source, mirror: Mirror) -> None:
    git(source.path, "checkout", "-q", "main")
    source.commit({}, branch="empty")
    assert await refused(mirror, source.path, head="empty") == "change.head_equals_base"


async def test_base_must_be_an_ancestor_of_head(source: Source, mirror: Mirror) -> None:
    git(source.path, "checkout", "-q", "main")
    source.commit({"b.py": "1\n"})
    assert await refused(mirror, source.path) == "change.base_not_ancestor"


async def test_a_refused_submission_leaves_nothing(source: Source, mirror: Mirror, repos: Path) -> None:
    git(source.path, "checkout", "-q", "main")
    source.commit({"b.py": "1\n"})
    await refused(mirror, source.path)
    await refused(mirror, source.path, head="nothing")
    with pytest.raises(InputError):
        await mirror.from_patch(source.path, base="main", patch=b"no patch\n")
    assert list(repos.iterdir()) == []


async def test_a_refused_submission_leaves_no_object_in_a_mirror_that_is_there(
    source: Source, mirror: Mirror, repos: Path
) -> None:
    await mirror.fetch(source.path, head="topic", base="main")
    before = objects_in(repos)
    git(source.path, "checkout", "-q", "main")
    source.commit({"b.py": "1\n"})
    await refused(mirror, source.path)
    assert objects_in(repos) == before
    assert list(repos.rglob("quarantine-*")) == []


async def test_a_trial_answers_like_the_mirror_and_leaves_nothing(source: Source, mirror: Mirror, repos: Path) -> None:
    patch = patch_between(source.path, "main", "topic")
    tried = await mirror.trial().fetch(source.path, head="topic", base="main")
    patched = await mirror.trial().from_patch(source.path, base="main", patch=patch)
    assert await refused(mirror.trial(), source.path, head="main") == "change.head_equals_base"
    assert list(repos.iterdir()) == []
    assert await mirror.fetch(source.path, head="topic", base="main") == tried
    before = objects_in(repos)
    assert await mirror.trial().from_patch(source.path, base="main", patch=patch) == patched
    assert objects_in(repos) == before


async def test_two_first_submissions_at_once_share_one_mirror(source: Source, mirror: Mirror, repos: Path) -> None:
    source.commit({"app.py": "x = 3\n"}, branch="other")
    one, two = await asyncio.gather(*(mirror.fetch(source.path, head=head, base="main") for head in ("topic", "other")))
    assert [path.name for path in repos.iterdir()] == [f"{one.repo}.git"]
    sources = GitSources(repos)
    assert await sources.file(one.repo, one.head, "app.py") == b"x = 2\n"
    assert await sources.file(two.repo, two.head, "app.py") == b"x = 3\n"


async def test_what_a_killed_first_submission_left_is_swept_after_an_hour(
    source: Source, mirror: Mirror, repos: Path
) -> None:
    left, fresh, epoch = (repos / name for name in ("new-left", "new-fresh", "new-epoch-left"))
    left.mkdir(parents=True)
    (left / "HEAD").touch()
    fresh.mkdir()
    epoch.touch()
    for old in (left, epoch):
        os.utime(old, (1, 1))
    await mirror.trial().fetch(source.path, head="topic", base="main")
    assert [path.name for path in repos.iterdir()] == ["new-fresh"]


async def test_what_a_killed_fetch_left_is_swept_after_an_hour(source: Source, mirror: Mirror, repos: Path) -> None:
    fetched = await mirror.fetch(source.path, head="topic", base="main")
    left, fresh = (repos / f"{fetched.repo}.git/quarantine-{name}" for name in ("left", "fresh"))
    left.mkdir()
    fresh.mkdir()
    os.utime(left, (1, 1))
    await mirror.fetch(source.path, head="topic", base="main")
    assert (left.exists(), fresh.exists()) == (False, True)


async def test_too_much_history_is_refused(source: Source, repos: Path) -> None:
    assert await refused(Mirror(repos, pack_bytes=100), source.path) == "repo.too_big"


async def test_a_patch_is_the_same_head_each_time(source: Source, mirror: Mirror, repos: Path) -> None:
    patch = patch_between(source.path, "main", "topic")
    first = await mirror.from_patch(source.path, base="main", patch=patch)
    assert first == await mirror.from_patch(source.path, base="main", patch=patch)
    assert first.tree == git(source.path, "rev-parse", "topic^{tree}")
    assert await GitSources(repos).file(first.repo, first.head, "app.py") == b"x = 2\n"


async def test_a_patch_on_a_base_of_1970_is_dated_like_it(source: Source, mirror: Mirror, repos: Path) -> None:
    body = f"commit refs/heads/old\ncommitter a <a@b.c> 7 +0000\ndata 2\nx\nfrom {source.base}\n"
    git(source.path, "fast-import", "--quiet", stdin=body.encode())
    patch = patch_between(source.path, "main", "topic")
    fetched = await mirror.from_patch(source.path, base="old", patch=patch)
    assert git(repos / f"{fetched.repo}.git", "log", "-1", "--format=%at %ct", fetched.head) == "7 7"


async def test_a_patch_may_add_rename_and_remove(source: Source, mirror: Mirror) -> None:
    source.commit({"app.py": None, "lib/tool.py": None, "lib/moved.py": "y = 1\n", "n.bin": "\0\1\2"}, branch="more")
    patch = patch_between(source.path, "main", "more")
    fetched = await mirror.from_patch(source.path, base="main", patch=patch)
    assert fetched.tree == git(source.path, "rev-parse", "more^{tree}")
