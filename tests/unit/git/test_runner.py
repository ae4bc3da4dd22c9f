from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoguard.adapters.git.runner import Git, shown
from evoguard.errors import UnavailableError
from given_git import git


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q", "--bare", "x.git")
    return tmp_path / "x.git"


async def test_git_inherits_nothing(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_AUTHOR_NAME", "operator")
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "core.hooksPath")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "/tmp")
    out = await Git(bare).ok("config", "--get-all", "core.hooksPath")
    assert out == b"/dev/null\n"
    assert (await Git(bare).run("var", "GIT_AUTHOR_IDENT")).code != 0 or b"operator" not in out


@pytest.mark.parametrize("size", [2_000, 70_000, 300_000, 3_000_000])
async def test_output_beyond_the_limit_is_cut_and_git_stopped(bare: Path, size: int) -> None:
    big = b"x" * size
    blob = (await Git(bare).ok("hash-object", "-w", "--stdin", stdin=big)).decode().strip()
    result = await Git(bare).run("cat-file", "blob", blob, limit_bytes=1_000)
    assert (len(result.out), result.truncated) == (1_000, True)
    with pytest.raises(UnavailableError):
        await Git(bare).ok("cat-file", "blob", blob, limit_bytes=1_000)


async def test_no_answer_in_time_is_unavailable_and_leaves_no_process(bare: Path) -> None:
    slow = Git(bare, wall_s=0.05)
    with pytest.raises(UnavailableError, match="no answer"):
        await slow.run("-c", "alias.wait=!sleep 60", "wait")


async def test_git_that_talks_without_end_is_stopped(bare: Path) -> None:
    with pytest.raises(UnavailableError):
        await Git(bare, wall_s=0.1).run("-c", "alias.talk=!yes", "talk", limit_bytes=1 << 40)


async def test_a_cancelled_question_ends_its_process(bare: Path) -> None:
    task = asyncio.create_task(Git(bare).run("-c", "alias.wait=!sleep 60", "wait"))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_git_that_cannot_start_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError):
        await Git(tmp_path / "nowhere").run("version")


async def test_a_failed_pipe_tells_which_end_failed(bare: Path) -> None:
    broken = await Git(bare).pipe(("cat-file", "blob", "f" * 40), Git(bare), ("hash-object", "--stdin"), stdin=b"")
    assert "Not a valid object name" in broken.why or "could not get object" in broken.why or "bad file" in broken.why
    sink = await Git(bare).pipe(("version",), Git(bare), ("index-pack", "--stdin"), stdin=b"")
    assert sink.code
    assert "pack" in sink.why


@given(st.text(max_size=300))
def test_shown_text_is_one_printable_bounded_line(text: str) -> None:
    assert shown(text).isprintable()
    assert len(shown(text)) <= 160
