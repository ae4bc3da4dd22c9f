from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from evoguard.adapters.git.mirror import Fetched, Mirror
from evoguard.adapters.git.sources import GitSources
from evoguard.domain.change import CommitId, Diff
from evoguard.errors import InputError
from given_git import Source, git


async def diff_of(tmp: Path, files: Mapping[str, str | None], base: Mapping[str, str] | None = None) -> Diff:
    fetched = await fetched_of(tmp, files, base)
    return await GitSources(tmp / "repos").diff(fetched.repo, fetched.base, fetched.head)


async def fetched_of(tmp: Path, files: Mapping[str, str | None], base: Mapping[str, str] | None = None) -> Fetched:
    source = Source(tmp / "source", base)
    source.commit(files, branch="topic")
    return await Mirror(tmp / "repos").fetch(source.path, head="topic", base="main")


async def test_a_diff_counts_what_changed(tmp_path: Path) -> None:
    diff = await diff_of(tmp_path, {"app.py": "x = 2\ny = 3\n", "lib/tool.py": None, "new é.bin": "a\0b"})
    assert [(f.path, f.status, f.added, f.deleted, f.binary, f.size) for f in diff.files] == [
        ("app.py", "modified", 2, 1, False, 12),
        ("lib/tool.py", "deleted", 0, 1, False, 0),
        ("new é.bin", "added", 0, 0, True, 3),
    ]
    assert (diff.added, diff.deleted, diff.omitted) == (2, 2, 0)


async def test_a_moved_file_touches_both_names(tmp_path: Path) -> None:
    diff = await diff_of(tmp_path, {"app.py": None, "moved.py": "x = 1\n"})
    assert diff.touched() == ("app.py", "moved.py")


async def test_modes_and_types_are_told(tmp_path: Path) -> None:
    source = Source(tmp_path / "source")
    (source.path / "app.py").chmod(0o755)
    (source.path / "lib/tool.py").unlink()
    (source.path / "lib/tool.py").symlink_to("../app.py")
    source.commit({}, branch="topic")
    fetched = await Mirror(tmp_path / "repos").fetch(source.path, head="topic", base="main")
    diff = await GitSources(tmp_path / "repos").diff(fetched.repo, fetched.base, fetched.head)
    assert [(f.mode_old, f.mode_new, f.status) for f in diff.files] == [
        ("100644", "100755", "modified"),
        ("100644", "120000", "typechange"),
    ]


async def test_secrets_on_added_lines_are_named_by_rule_and_line_only(tmp_path: Path) -> None:
    key = "AK" + "IA" + "Q2W3E4R5T6Y7U2I3"
    files = {"app.py": f"x = 1\n\n\nkey = '{key}'\n", 'we "ird.txt': f"{key}"}
    diff = await diff_of(tmp_path, files)
    assert diff.secrets == (("aws-access-key-id", "app.py", 4), ("aws-access-key-id", 'we "ird.txt', 1))
    assert key not in repr(diff)


async def test_a_removed_secret_is_none(tmp_path: Path) -> None:
    base = {"app.py": "key = '" + "AK" + "IA" + "Q2W3E4R5T6Y7U2I3'\n"}
    assert (await diff_of(tmp_path, {"app.py": "key = read()\n"}, base)).secrets == ()


async def test_content_that_looks_like_a_patch_moves_no_finding(tmp_path: Path) -> None:
    text = "diff --git a/x b/x\n+++ b/x\n@@ -0,0 +1 @@\n" + "AK" + "IA" + "Q2W3E4R5T6Y7U2I3\n"
    assert (await diff_of(tmp_path, {"a.txt": text})).secrets == (("aws-access-key-id", "a.txt", 4),)


async def test_a_patch_too_large_to_look_at_says_so(tmp_path: Path) -> None:
    text = "plain text of a line that is quite long\n" * 100
    fetched = await fetched_of(tmp_path, {f"{name}.txt": name + text for name in "abcd"})
    diff = await GitSources(tmp_path / "repos", patch_bytes=6_000).diff(fetched.repo, fetched.base, fetched.head)
    assert diff.secrets == (("unscanned", "b.txt", 0),)
    assert diff.added == 400


async def test_files_are_the_exact_bytes_of_the_commit(tmp_path: Path) -> None:
    files = {"app.py": "x\r\n", "sub/empty": "", "né.txt": "\0\udcff"}
    fetched = await fetched_of(tmp_path, files)
    found = await GitSources(tmp_path / "repos").files(fetched.repo, fetched.head)
    assert {path: blob.data for path, blob in found.items()} == {
        "app.py": b"x\r\n", "sub/empty": b"", "né.txt": b"\0\xff", "lib/tool.py": b"y = 1\n",
    }  # fmt: skip


async def test_a_file_is_bytes_or_none(tmp_path: Path) -> None:
    fetched = await fetched_of(tmp_path, {"app.py": "x = 2\n", "big": "b" * (1024 * 1024 + 1)})
    sources = GitSources(tmp_path / "repos")
    assert await sources.file(fetched.repo, fetched.base, "app.py") == b"x = 1\n"
    assert await sources.file(fetched.repo, fetched.head, "nothing") is None
    assert await sources.file(fetched.repo, fetched.head, "app.py/below") is None
    assert await sources.file(fetched.repo, fetched.head, "lib") is None
    with pytest.raises(InputError) as caught:
        await sources.file(fetched.repo, fetched.head, "big")
    assert caught.value.code == "file.too_big"


async def test_a_symlink_is_not_a_file(tmp_path: Path) -> None:
    source = Source(tmp_path / "source")
    (source.path / "link").symlink_to("app.py")
    source.commit({}, branch="topic")
    fetched = await Mirror(tmp_path / "repos").fetch(source.path, head="topic", base="main")
    with pytest.raises(InputError) as caught:
        await GitSources(tmp_path / "repos").file(fetched.repo, fetched.head, "link")
    assert caught.value.code == "path.symlink"


async def test_a_commit_that_was_never_fetched_is_refused(tmp_path: Path) -> None:
    fetched = await fetched_of(tmp_path, {"app.py": "x = 2\n"})
    sources = GitSources(tmp_path / "repos")
    unknown = CommitId("f" * 40)
    with pytest.raises(InputError):
        await sources.diff(fetched.repo, fetched.base, unknown)
    with pytest.raises(InputError):
        await sources.files(fetched.repo, unknown)
    with pytest.raises(InputError):
        await sources.file(fetched.repo, unknown, "app.py")
    with pytest.raises(InputError):
        await sources.file(fetched.repo, CommitId("topic"), "app.py")


async def test_the_operators_environment_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("GIT_EXTERNAL_DIFF", "false")
    source = Source(tmp_path / "source")
    git(source.path, "checkout", "-q", "-b", "topic")
    source.commit({"app.py": "x = 2\n"})
    fetched = await Mirror(tmp_path / "repos").fetch(source.path, head="topic", base="main")
    sources = GitSources(tmp_path / "repos")
    assert (await sources.diff(fetched.repo, fetched.base, fetched.head)).touched() == ("app.py",)
    assert await sources.file(fetched.repo, fetched.head, "app.py") == b"x = 2\n"


async def test_an_unsafe_name_is_not_even_shown_as_deleted(tmp_path: Path) -> None:
    source = Source(tmp_path / "source")
    bad = source.odd(b"new\nline", b"plain", branch="main")
    source.commit_of(source.tree([("100644", b"plain", source.blob(b"y"))]), parent=bad)
    fetched = await Mirror(tmp_path / "repos").fetch(source.path, head="topic", base="main")
    with pytest.raises(InputError) as caught:
        await GitSources(tmp_path / "repos").diff(fetched.repo, fetched.base, fetched.head)
    assert caught.value.code == "path.control"
    with pytest.raises(InputError) as caught:
        await GitSources(tmp_path / "repos").file(fetched.repo, fetched.base, "new\nline")
    assert caught.value.code == "path.control"


async def test_a_patch_is_what_people_read_and_bounded(tmp_path: Path) -> None:
    fetched = await fetched_of(tmp_path, {"app.py": "x = 2\n", "b.bin": "a\0b"})
    sources = GitSources(tmp_path / "repos")
    text, cut = await sources.patch(fetched.repo, fetched.base, fetched.head, most_bytes=1 << 20)
    assert not cut
    assert "-x = 1\n+x = 2\n" in text
    assert " app.py |" in text
    assert "Binary files" in text
    part, cut = await sources.patch(fetched.repo, fetched.base, fetched.head, most_bytes=40)
    assert (cut, len(part)) == (True, 40)
    with pytest.raises(InputError) as caught:
        await sources.patch(fetched.repo, fetched.base, CommitId("f" * 40), most_bytes=100)
    assert caught.value.code == "ref.missing"
