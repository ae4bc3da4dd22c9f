"""What the past says, and what nobody can make it say."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoguard.adapters.git.history import GitHistory
from evoguard.adapters.git.mirror import Mirror
from evoguard.adapters.git.store import Store
from evoguard.domain.change import CommitId
from evoguard.errors import InputError
from evoguard.history.index import DAY_S, Commit, History, commits_of
from evoguard.ports.impact import Past
from given_git import Source, git

NOW = 1_800_000_000


def a_history(*commits: Commit) -> History:
    return History.of("tip", commits)


def a_commit(n: int, *paths: str, days: int = 30, fix: bool = False) -> Commit:
    return Commit(f"{n:040x}", NOW - days * DAY_S, fix, paths)


def seen(history: History, *paths: str, authors: dict[str, str] | None = None) -> Past:
    return history.past(paths, now_s=NOW, authors=authors or {})


def test_fixes_of_the_touched_files_count_once_each_within_180_days() -> None:
    history = a_history(
        a_commit(1, "a", "b", fix=True), a_commit(2, "a", fix=True, days=181), a_commit(3, "c", fix=True)
    )
    assert seen(history, "a", "b").fixes == 1
    assert seen(history, "a", "c").fixes == 2


def test_a_file_that_no_commit_touched_is_new() -> None:
    assert seen(a_history(a_commit(1, "a")), "b").young
    assert not seen(a_history(a_commit(1, "a")), "a").young


def test_a_date_in_the_future_is_now() -> None:
    history = a_history(a_commit(1, "a", days=-4_000, fix=True))
    assert seen(history, "a") == Past(1, young=True, authors=1)


def test_authors_are_those_of_our_own_merges_whatever_commits_say() -> None:
    history = a_history(*(a_commit(n, "a") for n in range(9)))
    ours = {f"{n:040x}": f"person-{n % 2}" for n in range(4)}
    assert seen(history, "a").authors == 1
    assert seen(history, "a", authors=ours).authors == 3  # two of ours, and everyone before us as one


def test_a_history_that_was_cut_off_early_says_so() -> None:
    assert not History.of("tip", [a_commit(1, "a")], cut=True).past(["a"], now_s=NOW, authors={}).known
    assert History.of("tip", [a_commit(1, "a", days=200)], cut=True).past(["a"], now_s=NOW, authors={}).known


COMMITS = st.lists(
    st.builds(
        Commit, st.integers(0, 99).map(lambda n: f"{n:040x}"), st.integers(NOW - 300 * DAY_S, NOW + DAY_S),
        st.booleans(), st.lists(st.sampled_from("abcdef"), max_size=4, unique=True).map(tuple),
    ),
    max_size=20,
)  # fmt: skip


@settings(deadline=None)
@given(COMMITS, st.sets(st.sampled_from("abcdef")), st.sets(st.sampled_from("abcdef")))
def test_more_files_never_have_less_of_a_past(commits: list[Commit], some: set[str], more: set[str]) -> None:
    history = History.of("tip", commits)
    few, many = seen(history, *some), seen(history, *some, *more)
    assert (few.fixes, few.young, few.authors) <= (many.fixes, max(few.young, many.young), many.authors)
    assert few.fixes <= many.fixes
    assert few.young <= many.young
    assert few.authors <= many.authors


@settings(deadline=None)
@given(COMMITS, COMMITS)
def test_a_past_that_grew_is_the_past_read_at_once(old: list[Commit], new: list[Commit]) -> None:
    grown, whole = History.of("a", old).grown("b", new), History.of("b", [*old, *new])
    assert all(seen(grown, path) == seen(whole, path) for path in "abcdef")


async def the_past(tmp: Path, source: Source, *paths: str, base: str = "main") -> Past:
    fetched = await Mirror(tmp / "repos").fetch(source.path, head="topic", base=base)
    history = GitHistory(Store(tmp / "repos"))
    return await history.past(fetched.repo, fetched.base, paths, now_s=1_700_000_000 + 30 * DAY_S, authors={})


async def test_git_tells_fixes_and_names_as_they_are(tmp_path: Path) -> None:
    source = Source(tmp_path / "source", {"app.py": "x = 1\n", 'ünï "q".py': "x = 1\n", "a\nb.py": "x = 1\n"})
    source.commit({"app.py": "x = 2\n", 'ünï "q".py': "x = 2\n"}, message="Fixes the total\n\n//" + "0" * 40 + " 1")
    source.commit({"app.py": "x = 3\n", "a\nb.py": "x = 3\n"}, message="prefix")
    source.commit({"a\nb.py": None}, message="gone")
    source.commit({"app.py": "x = 4\n"}, branch="topic", message="fix fix fix")
    assert await the_past(tmp_path, source, "app.py", 'ünï "q".py') == Past(1, young=False, authors=1)
    assert (await the_past(tmp_path, source, "a\nb.py")).fixes == 0


async def test_commits_of_the_change_itself_are_no_history(tmp_path: Path) -> None:
    source = Source(tmp_path / "source")
    source.commit({"app.py": "x = 2\n"}, branch="topic", message="hotfix")
    source.commit({"new.py": "x = 2\n"}, message="as old as you like")
    assert await the_past(tmp_path, source, "app.py") == Past(0, young=False, authors=1)
    assert (await the_past(tmp_path, source, "new.py")).young


async def test_a_newer_base_adds_what_lies_between(tmp_path: Path) -> None:
    source = Source(tmp_path / "source")
    first = source.base
    for n in range(3):
        source.commit({"app.py": f"x = {n + 2}\n"}, message=f"fix {n}")
    second = git(source.path, "rev-parse", "main")
    source.commit({"app.py": "x = 9\n"}, branch="topic")
    fetched = await Mirror(tmp_path / "repos").fetch(source.path, head="topic", base="main")
    kept, fresh = GitHistory(Store(tmp_path / "repos")), GitHistory(Store(tmp_path / "repos"))
    asked = {"now_s": 1_700_000_000 + DAY_S, "authors": {}}
    assert (await kept.past(fetched.repo, CommitId(first), ["app.py"], **asked)).fixes == 0  # type: ignore[arg-type]
    grown = await kept.past(fetched.repo, CommitId(second), ["app.py"], **asked)  # type: ignore[arg-type]
    assert grown == await fresh.past(fetched.repo, CommitId(second), ["app.py"], **asked)  # type: ignore[arg-type]
    assert grown.fixes == 3


async def test_a_commit_that_is_not_here_is_refused(tmp_path: Path) -> None:
    source = Source(tmp_path / "source")
    source.commit({"app.py": "x = 2\n"}, branch="topic")
    fetched = await Mirror(tmp_path / "repos").fetch(source.path, head="topic", base="main")
    for name in ("main", "f" * 40):
        with pytest.raises(InputError):
            await GitHistory(Store(tmp_path / "repos")).past(
                fetched.repo, CommitId(name), ["app.py"], now_s=NOW, authors={}
            )


@pytest.mark.parametrize("raw", [b"", b"\0", b"app.py\0", b"//", b"//x", b"//" + b"0" * 40 + b" soon\n", b"\xff\0//\0"])
def test_a_list_of_another_shape_is_no_crash_and_no_old_commit(raw: bytes) -> None:
    assert all(commit.at > NOW for commit in commits_of(raw))
