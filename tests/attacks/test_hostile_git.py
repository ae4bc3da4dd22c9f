"""A submitter's repository is hostile: nothing in it runs, nothing odd in it gets past the door, nothing races past."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from evoguard.adapters.git.forge import GitForge
from evoguard.adapters.git.mirror import Fetched, Mirror
from evoguard.adapters.git.sources import GitSources
from evoguard.errors import FencedError, InputError
from given_git import (
    EMPTY_TREE,
    Source,
    a_fetched_change,
    a_publication,
    git,
    objects_in,
    patch_between,
    shallow_copy,
    tree_of,
)


@pytest.fixture
def source(tmp_path: Path) -> Source:
    return Source(tmp_path / "source")


@pytest.fixture
def repos(tmp_path: Path) -> Path:
    return tmp_path / "repos"


@pytest.fixture
def mirror(repos: Path) -> Mirror:
    return Mirror(repos)


async def admitted(repos: Path, source: Source) -> Fetched:
    """Bring `topic` through the door as intake does: fetched, then looked at."""
    fetched = await Mirror(repos).fetch(source.path, head="topic", base="main")
    await GitSources(repos).diff(fetched.repo, fetched.base, fetched.head)
    return fetched


async def refusal(repos: Path, source: Source) -> str:
    with pytest.raises(InputError) as caught:
        await admitted(repos, source)
    assert "\x1b" not in caught.value.message
    assert caught.value.message.isprintable()
    assert caught.value.fix
    return caught.value.code


async def test_nothing_that_the_repository_configures_is_executed(source: Source, repos: Path, tmp_path: Path) -> None:
    marker = tmp_path / "executed"
    bait = tmp_path / "bait"
    bait.write_text(f"#!/bin/sh\necho \"$0 $@\" >> '{marker}'\ncat\n")
    bait.chmod(0o755)
    source.commit({".gitattributes": "* filter=f diff=d merge=m ident text eol=crlf\n"})
    source.base = git(source.path, "rev-parse", "HEAD")
    source.commit({"app.py": "x = 2\n", ".lfsconfig": f"[lfs]\n\tstandalonetransferagent = {bait}\n"}, branch="topic")
    patch = patch_between(source.path, "main", "topic")
    for key in (
        "core.fsmonitor", "core.sshCommand", "core.gitProxy", "core.pager", "core.editor", "core.alternateRefsCommand",
        "core.askPass", "uploadpack.packObjectsHook", "diff.external", "diff.d.command", "diff.d.textconv",
        "filter.f.clean", "filter.f.smudge", "filter.f.process", "merge.m.driver", "gpg.program", "credential.helper",
        "alias.fetch", "alias.upload-pack", "alias.pack-objects", "remote.origin.uploadpack", "trailer.x.command",
        "pager.diff-tree", "pager.ls-tree", "sequence.editor",
    ):  # fmt: skip
        git(source.path, "config", key, str(bait))
    git(source.path, "config", "core.hooksPath", str(tmp_path / "hooks"))
    git(source.path, "config", "include.path", str(tmp_path / "more"))
    (tmp_path / "hooks").mkdir()
    for hook in ("post-checkout", "reference-transaction", "post-index-change", "pre-receive", "update", "fsmonitor"):
        for folder in (tmp_path / "hooks", source.path / ".git/hooks"):
            folder.mkdir(exist_ok=True)
            (folder / hook).write_text(bait.read_text())
            (folder / hook).chmod(0o755)
    fetched = await admitted(repos, source)
    sources, forge = GitSources(repos), GitForge(repos)
    files = await sources.files(fetched.repo, fetched.head)
    await Mirror(repos).from_patch(source.path, base="main", patch=patch)
    what = a_publication(fetched)
    await forge.publish(what)
    await forge.revert(what.repo, what.component, what.branch, reason="no")
    assert not marker.exists()
    assert files["app.py"].data == b"x = 2\n"


async def test_attributes_change_no_materialised_byte(source: Source, repos: Path) -> None:
    text = "id = '$Id$ $Format:%H$'\r\nx\n"
    rules = "* export-ignore export-subst ident text eol=crlf\n*.py -diff binary\n"
    source.commit({".gitattributes": rules, "app.py": text, "lib/.gitattributes": rules}, branch="topic")
    fetched = await admitted(repos, source)
    files = await GitSources(repos).files(fetched.repo, fetched.head)
    diff = await GitSources(repos).diff(fetched.repo, fetched.base, fetched.head)
    assert files["app.py"].data == text.encode()
    assert set(files) == {".gitattributes", "app.py", "lib/tool.py", "lib/.gitattributes"}
    assert not any(f.binary for f in diff.files)


async def test_replace_refs_and_grafts_are_ignored(source: Source, repos: Path) -> None:
    head = source.commit({"app.py": "x = 'seen'\n"}, branch="topic")
    other = source.commit({"app.py": "x = 'swapped'\n"})
    git(source.path, "update-ref", "refs/heads/topic", head)
    git(source.path, "replace", head, other)
    (source.path / ".git/info").mkdir(exist_ok=True)
    (source.path / ".git/info/grafts").write_text(f"{head}\n")
    fetched = await admitted(repos, source)
    sources = GitSources(repos)
    assert await sources.file(fetched.repo, fetched.head, "app.py") == b"x = 'seen'\n"
    git(repos / f"{fetched.repo}.git", "replace", fetched.head, fetched.base)
    assert await sources.file(fetched.repo, fetched.head, "app.py") == b"x = 'seen'\n"


@pytest.mark.parametrize(
    "name",
    ["--upload-pack=touch x", "-c", "--help", "main..topic", "main topic", "topic~1", "topic^{tree}", "@{-1}", "@",
     "+topic", "../../etc/passwd", "topic\n", "topic\0", "to\u202epic", "", "x" * 201, "a//b", ".git", "topic.lock",
     ":app.py", "*"],
)  # fmt: skip
async def test_a_name_that_git_would_read_as_more_is_refused(source: Source, mirror: Mirror, name: str) -> None:
    source.commit({"app.py": "x = 2\n"}, branch="topic")
    for names in ({"head": name, "base": "main"}, {"head": "topic", "base": name}):
        with pytest.raises(InputError) as caught:
            await mirror.fetch(source.path, **names)
        assert caught.value.code in ("ref.invalid", "ref.missing")


async def test_a_ref_file_that_is_a_link_or_pipe_is_not_read(source: Source, mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(source.commit({"app.py": "x = 2\n"}, branch="topic"))
    heads = source.path / ".git/refs/heads"
    (heads / "link").symlink_to(tmp_path / "outside")
    (heads / "folder").symlink_to(tmp_path)
    os.mkfifo(heads / "pipe")
    for name in ("link", "pipe", "folder/outside"):
        with pytest.raises(InputError) as caught:
            await mirror.fetch(source.path, head=name, base="main")
        assert caught.value.code == "ref.missing"


@pytest.mark.parametrize(
    "name", [b".GIT", b".git", b".Git ", b"git~1", b".git::$INDEX_ALLOCATION", ".g\u200cit".encode()]
)
async def test_gits_own_folder_is_no_name(source: Source, repos: Path, name: bytes) -> None:
    inner = source.tree([("100644", b"config", source.blob(b"x"))])
    source.commit_of(source.tree([("40000", name, inner)]))
    assert await refusal(repos, source) in ("repo.rejected_objects", "path.git", "path.control")


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        (b"..", {"repo.rejected_objects"}),
        (b"a/b", {"repo.rejected_objects"}),
        (b"a\\..\\b", {"path.outside"}),
        (b"new\nline", {"path.control"}),
        (b"esc\x1b[2J", {"path.control"}),
        ("bidi\u202egnp.exe".encode(), {"path.control"}),
        ("zero\u200bwidth".encode(), {"path.control"}),
        ("e\u0301.txt".encode(), {"path.not_nfc"}),
        (b"lone\xed\xa0\x80", {"path.not_utf8"}),
        (b"latin\xe9", {"path.not_utf8"}),
        (b"n" * 256, {"path.too_long", "repo.rejected_objects"}),
    ],
)
async def test_a_name_that_is_not_plain_is_refused(source: Source, repos: Path, name: bytes, codes: set[str]) -> None:
    source.odd(name)
    assert await refusal(repos, source) in codes


async def test_a_name_with_a_nul_cannot_be_written(source: Source, repos: Path) -> None:
    source.odd(b"a\0b")
    assert await refusal(repos, source) in ("repo.rejected_objects", "path.mode")


@pytest.mark.parametrize("names", [(b"README", b"readme"), ("É".encode(), "é".encode()), ("ß".encode(), b"ss")])
async def test_names_that_collide_where_case_is_ignored_are_refused(
    source: Source, repos: Path, names: tuple[bytes, ...]
) -> None:
    source.odd(*names)
    assert await refusal(repos, source) == "path.collision"


async def test_folders_that_collide_are_refused(source: Source, repos: Path) -> None:
    inner = source.tree([("100644", b"a", source.blob(b"x"))])
    other = source.tree([("100644", b"b", source.blob(b"x"))])
    source.commit_of(source.tree([("40000", b"Lib", inner), ("40000", b"lib", other)]))
    assert await refusal(repos, source) == "path.collision"


async def test_a_submodule_is_refused(source: Source, repos: Path) -> None:
    source.commit_of(source.tree([("160000", b"sub", source.base)]))
    assert await refusal(repos, source) == "path.submodule"


@pytest.mark.parametrize("target", [b"/etc/passwd", b"../x", b"a/../../x", b".git/config", b"", b"a\nb", b"x" * 5000])
async def test_a_symlink_that_may_lead_out_is_refused(source: Source, repos: Path, target: bytes) -> None:
    source.odd(b"link", mode="120000", data=target)
    assert await refusal(repos, source) == "path.symlink_outside"


async def test_a_symlink_cannot_climb_behind_another(source: Source, repos: Path) -> None:
    up = source.tree([("120000", b"top", source.blob(b".."))])
    rows = [("40000", b"d", up), ("120000", b"out", source.blob(b"d/top/../../etc"))]
    source.commit_of(source.tree(rows))
    assert await refusal(repos, source) == "path.symlink_outside"


async def test_a_setuid_mode_is_read_as_a_plain_one(source: Source, repos: Path) -> None:
    source.odd(b"setuid", mode="104755")
    fetched = await admitted(repos, source)
    assert (await GitSources(repos).files(fetched.repo, fetched.head))["setuid"].mode == "100755"


async def test_a_tree_that_unfolds_without_end_is_refused_quickly(source: Source, repos: Path) -> None:
    tree = source.tree([("100644", b"%03d" % i, source.blob(b"x")) for i in range(100)])
    for _ in range(5):
        tree = source.tree([("40000", b"%03d" % i, tree) for i in range(100)])
    source.commit_of(tree)
    assert await refusal(repos, source) == "tree.too_many_files"


async def test_a_file_that_unfolds_to_gigabytes_is_never_held(source: Source, repos: Path) -> None:
    source.commit({}, branch="topic")
    with (source.path / "zeros").open("wb") as file:
        file.truncate(201 * 1024 * 1024)
    source.commit({})
    fetched = await admitted(repos, source)
    with pytest.raises(InputError) as caught:
        await GitSources(repos).files(fetched.repo, fetched.head)
    assert caught.value.code == "tree.too_big"


async def test_borrowed_objects_are_refused(source: Source, repos: Path, tmp_path: Path) -> None:
    source.commit({"app.py": "x = 2\n"}, branch="topic")
    info = source.path / ".git/objects/info"
    info.mkdir(exist_ok=True)
    (info / "alternates").write_text("/var/secret/objects\n")
    assert await refusal(repos, source) == "repo.alternates"
    (info / "alternates").unlink()
    (source.path / ".git/objects/pack").rmdir()
    (source.path / ".git/objects/pack").symlink_to(tmp_path)
    assert await refusal(repos, source) == "repo.alternates"


async def test_an_object_that_is_a_pipe_does_not_block(source: Source, repos: Path) -> None:
    head = source.commit({"app.py": "x = 2\n"}, branch="topic")
    file = source.path / ".git/objects" / head[:2] / head[2:]
    file.unlink()
    os.mkfifo(file)
    assert await refusal(repos, source) == "repo.alternates"


async def test_shallow_partial_and_sha256_repositories_are_refused(source: Source, repos: Path, tmp_path: Path) -> None:
    source.commit({"app.py": "x = 2\n"}, branch="topic")
    with pytest.raises(InputError) as caught:
        await Mirror(repos).fetch(shallow_copy(source.path, tmp_path / "shallow"), head="HEAD", base="main")
    assert caught.value.code == "repo.shallow"
    other = Source(tmp_path / "sha256", object_format="sha256")
    other.commit({"app.py": "x = 2\n"}, branch="topic")
    assert await refusal(repos, other) == "repo.sha256"
    (source.path / ".git/objects/pack/pack-x.promisor").touch()
    assert await refusal(repos, source) == "repo.partial"


async def test_unrelated_histories_are_refused(source: Source, repos: Path) -> None:
    lone = git(source.path, "commit-tree", EMPTY_TREE, "-m", "lone")
    git(source.path, "update-ref", "refs/heads/topic", lone)
    assert await refusal(repos, source) == "change.unrelated"


@pytest.mark.parametrize("damage", ["missing", "garbage", "swapped"])
async def test_damaged_objects_are_refused_and_leave_nothing(source: Source, repos: Path, damage: str) -> None:
    source.commit({"app.py": "x = 2\n"}, branch="topic")
    blob = git(source.path, "rev-parse", "topic:app.py")
    file = source.path / ".git/objects" / blob[:2] / blob[2:]
    other = git(source.path, "rev-parse", "main:app.py")
    data = {"garbage": b"not zlib", "swapped": (source.path / ".git/objects" / other[:2] / other[2:]).read_bytes()}
    file.chmod(0o600)
    file.unlink() if damage == "missing" else file.write_bytes(data[damage])
    assert await refusal(repos, source) == "repo.rejected_objects"
    assert objects_in(repos) == []


async def test_a_commit_that_git_would_not_make_is_refused(source: Source, repos: Path) -> None:
    raw = f"tree {EMPTY_TREE}\nparent {source.base}\nauthor x\ncommitter x\n\n\x1b[2Jbad".encode()
    bad = git(source.path, "hash-object", "-w", "-t", "commit", "--literally", "--stdin", stdin=raw)
    (source.path / ".git/refs/heads/topic").write_text(bad)
    assert await refusal(repos, source) == "repo.rejected_objects"


async def test_a_lying_commit_graph_is_not_believed(source: Source, repos: Path) -> None:
    source.commit({"app.py": "x = 2\n"}, branch="topic")
    git(source.path, "repack", "-adq", "--write-midx", "--write-bitmap-index")
    git(source.path, "commit-graph", "write", "--reachable")
    for name in ("info/commit-graph", "pack/multi-pack-index"):
        lie = source.path / ".git/objects" / name
        lie.chmod(0o600)
        lie.write_bytes(lie.read_bytes()[:-100] + b"\xff" * 100)
    assert (await admitted(repos, source)).base == source.base


async def test_a_branch_that_moves_during_submit_changes_nothing(source: Source, repos: Path) -> None:
    head = source.commit({"app.py": "x = 2\n"}, branch="topic")
    fetched = await Mirror(repos).fetch(source.path, head="topic", base="main")
    source.commit({"app.py": "x = 'evil'\n"})
    assert fetched.head == head
    assert await GitSources(repos).file(fetched.repo, fetched.head, "app.py") == b"x = 2\n"
    assert (await GitForge(repos).refs(fetched.repo, "scoring", "topic")).tip == ""


async def test_a_patch_of_twenty_thousand_files_is_bounded(source: Source, repos: Path) -> None:
    source.many(20_000)
    fetched = await Mirror(repos).fetch(source.path, head="topic", base="main")
    diff = await GitSources(repos).diff(fetched.repo, fetched.base, fetched.head)
    assert (len(diff.files), diff.omitted) == (1_000, 19_000)
    with pytest.raises(InputError) as caught:
        await GitSources(repos).files(fetched.repo, fetched.head)
    assert caught.value.code == "tree.too_many_files"


@pytest.mark.parametrize(
    ("patch", "code"),
    [
        (b"", "patch.empty"),
        (b"+" * (2 * 1024 * 1024 + 1), "patch.too_big"),
        (b"not a patch\n", "patch.does_not_apply"),
        (b"--- a/app.py\n+++ b/app.py\n@@ -1 +1 @@\n-other\n+x\n", "patch.does_not_apply"),
        (b"--- /dev/null\n+++ b/../evil\n@@ -0,0 +1 @@\n+x\n", "patch.path"),
        (b"--- /dev/null\n+++ b/.git/config\n@@ -0,0 +1 @@\n+x\n", "patch.path"),
        (b"--- /dev/null\n+++ b/.GIT/config\n@@ -0,0 +1 @@\n+x\n", "patch.path"),
        (b"diff --git a/a b/a\nindex 0..1\nGIT binary patch\nliteral 9999999\nzc\n\n", "patch.binary"),
        (b"diff --git a/a b/a\nindex 0..1\nGIT binary patch\ndelta 9\nzc\n\n", "patch.binary"),
        (b"a\0b", "patch.binary"),
    ],
)  # fmt: skip
async def test_a_patch_that_is_no_change_of_the_tree_is_refused(
    source: Source, mirror: Mirror, repos: Path, patch: bytes, code: str
) -> None:
    with pytest.raises(InputError) as caught:
        await mirror.from_patch(source.path, base="main", patch=patch)
    assert caught.value.code == code
    assert objects_in(repos) == []


async def test_an_absolute_name_in_a_patch_stays_in_the_tree(source: Source, mirror: Mirror, repos: Path) -> None:
    fetched = await mirror.from_patch(
        source.path, base="main", patch=b"--- /dev/null\n+++ /etc/evil\n@@ -0,0 +1 @@\n+x\n"
    )
    assert "etc/evil" in await GitSources(repos).files(fetched.repo, fetched.head)


async def test_a_patch_cannot_write_below_its_own_symlink(source: Source, mirror: Mirror, tmp_path: Path) -> None:
    patch = (
        b"diff --git a/out b/out\nnew file mode 120000\n--- /dev/null\n+++ b/out\n@@ -0,0 +1 @@\n+"
        + str(tmp_path).encode()
        + b"\n\\ No newline at end of file\n"
        b"diff --git a/out/evil b/out/evil\nnew file mode 100644\n--- /dev/null\n+++ b/out/evil\n@@ -0,0 +1 @@\n+x\n"
    )
    with pytest.raises(InputError):
        await mirror.from_patch(source.path, base="main", patch=patch)
    assert not (tmp_path / "evil").exists()


async def test_a_worker_frozen_before_a_kill_opens_nothing_after_it(tmp_path: Path, repos: Path) -> None:
    _, fetched = await a_fetched_change(tmp_path)
    what, forge = a_publication(fetched), GitForge(repos)
    commit = await forge.publish(what)
    await forge.raise_epoch_all(1)
    await forge.revert(what.repo, what.component, what.branch, reason="killed")
    before = await forge.refs(what.repo, what.component, what.branch)
    for late in (forge.publish(what), forge.promote(what, commit)):
        with pytest.raises(FencedError) as caught:
            await late
        assert caught.value.code == "fenced.epoch"
    assert await forge.refs(what.repo, what.component, what.branch) == before
    assert tree_of(repos, what.repo, f"refs/heads/{what.branch}") == tree_of(repos, what.repo, what.base)


async def test_a_kill_that_races_a_publication_ends_at_known_good(tmp_path: Path, repos: Path) -> None:
    _, fetched = await a_fetched_change(tmp_path)
    what, forge = a_publication(fetched), GitForge(repos)

    async def kill() -> None:
        await forge.raise_epoch_all(1)
        for repo, branch in await forge.repos_with(what.component):
            await forge.revert(repo, what.component, branch, reason="killed")

    answers = await asyncio.gather(*(forge.publish(what) for _ in range(3)), kill(), return_exceptions=True)
    assert all(isinstance(answer, str | FencedError | None) for answer in answers)
    state = await forge.refs(what.repo, what.component, what.branch)
    assert state.rollout == ""
    if state.tip:
        assert tree_of(repos, what.repo, state.tip) == tree_of(repos, what.repo, what.base)
