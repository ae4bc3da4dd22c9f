"""Bad input at the command line: one clear line, nothing stored, and the exit code of the table."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from unit.cli.installed import CHANGE, Answer, Installed, make

GIT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/nonexistent", "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b",
    "GIT_AUTHOR_DATE": "1767225600 +0000", "GIT_COMMITTER_DATE": "1767225600 +0000",
}  # fmt: skip
PATCH = "--- a/x.py\n+++ b/x.py\n@@ -1 +1 @@\n-x = 1\n+x = 3\n"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    make(folder)
    git(folder, "init", "-q", "-b", "main", "repo")
    commit(folder / "repo", "x = 1\n")
    git(folder / "repo", "checkout", "-q", "-b", "head")
    commit(folder / "repo", "x = 2\n")
    return folder


@pytest.fixture
def installed(template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Installed:
    shutil.copytree(template, tmp_path / "i")
    return Installed(tmp_path / "i", capsys)


def git(where: Path, *words: str) -> str:
    return subprocess.run(
        ("git", *words), cwd=where, env=GIT, check=True, capture_output=True, text=True
    ).stdout.strip()


def commit(repo: Path, text: str) -> str:
    (repo / "x.py").write_text(text)
    git(repo, "add", "x.py")
    git(repo, "commit", "-q", "-m", "m")
    return git(repo, "rev-parse", "HEAD")


def submit(installed: Installed, *more: str, key: str = "coder", **other: str) -> Answer:
    words = {
        "--repo": str(installed.folder / "repo"),
        "--head": "head",
        "--base": "main",
        "--intent": "wish",
        "--as": "coder",
    }
    words |= {f"--{name}": value for name, value in other.items()}
    given = [part for name, value in words.items() if value for part in (name, value)]
    return installed.json("submit", *given, "--sign-with", installed.key(key), *more)


def nothing_stored(installed: Installed) -> bool:
    """Tell whether no message, no change and no ref of a submission exists."""
    repos = installed.settings.repos_dir.glob("*.git")
    refs = [ref for repo in repos for ref in git(repo, "for-each-ref", "refs/evoguard/incoming").splitlines()]
    return rows_of(installed) == [0, 0] and not refs


def rows_of(installed: Installed) -> list[int]:
    """Return how many messages and changes there are."""
    with closing(sqlite3.connect(installed.settings.database)) as con:
        return [con.execute(f"select count(*) from {name}").fetchone()[0] for name in ("inbox", "changes")]  # noqa: S608


def one_line(answer: Answer, code: int, name: str) -> None:
    assert (answer.code, answer.error["code"]) == (code, name)
    message = str(answer.error["message"])
    assert "\n" not in message
    assert len(message) < 600
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ({"head": "nosuch"}, "ref.missing"),
        ({"head": "main"}, "change.head_equals_base"),
        ({"base": "head", "head": "main"}, "change.base_not_ancestor"),
        ({"head": "--upload-pack=touch /tmp/x"}, "ref.invalid"),
        ({"head": "-x"}, "ref.invalid"),
        ({"head": "a\nb"}, "ref.invalid"),
        ({"head": ""}, "submit.head_or_patch"),
        ({"repo": "/nonexistent"}, "repo.none"),
        ({"intent": "  "}, "text.length"),
        ({"intent": "x" * 2001}, "text.length"),
        ({"intent": "\u202egnp"}, "text.control"),
        ({"intent": "a\x1b[2Jb"}, "text.control"),
        ({"intent": "\udcff"}, "text.control"),
    ],
)
def test_a_submission_that_names_nothing_usable_is_refused_and_nothing_is_stored(installed: Installed, given, name):
    answer = submit(installed, **given)
    one_line(answer, 2, str(answer.error["code"]) if name == "repo.none" else name)
    assert nothing_stored(installed)


def test_repositories_that_cannot_be_proved_are_refused(installed: Installed):
    folder = installed.folder
    git(folder, "init", "-q", "-b", "main", "--object-format=sha256", "sha256")
    git(folder, "clone", "-q", "--depth", "1", "--branch", "head", f"file://{folder / 'repo'}", "shallow")
    git(folder / "repo", "checkout", "-q", "--orphan", "stranger")
    commit(folder / "repo", "y = 1\n")
    (folder / "empty").mkdir()
    for repo in ("sha256", "shallow", "empty"):
        answer = submit(installed, repo=str(folder / repo))
        assert (answer.code, str(answer.error["code"]).split(".")[0]) in ((2, "repo"), (2, "ref")), answer
    one_line(submit(installed, head="stranger"), 2, "change.unrelated")
    assert nothing_stored(installed)


@pytest.mark.parametrize(
    ("patch", "name"),
    [
        (b"", "patch.empty"),
        (b"not a patch", "patch.does_not_apply"),
        (b"x" * (2 * 1024 * 1024 + 1), "file.too_big"),
        (PATCH.encode() + b"\0", "patch.binary"),
        (PATCH.replace("x.py", "../x.py").encode(), "patch.path"),
        (PATCH.replace("x = 1", "x = 9").encode(), "patch.does_not_apply"),
    ],
)
def test_a_patch_that_is_no_patch_is_refused_and_nothing_is_stored(installed: Installed, patch, name):
    (installed.folder / "p").write_bytes(patch)
    answer = submit(installed, "--patch", str(installed.folder / "p"), head="")
    assert answer.code == 2
    if name == "patch.path":
        assert str(answer.error["code"]).startswith("patch.")
    else:
        one_line(answer, 2, name)
    assert nothing_stored(installed)


def test_a_patch_that_is_a_pipe_or_a_folder_is_refused_at_once(installed: Installed):
    os.mkfifo(installed.folder / "fifo")
    for name in ("fifo", "repo"):
        answer = submit(installed, "--patch", str(installed.folder / name), head="")
        assert answer.code == 2
        assert str(answer.error["code"]).startswith("file.")


@pytest.mark.parametrize(
    ("author", "key", "name"),
    [("mallory", "coder", "auth.unknown"), ("coder", "rival", "auth.wrong_key"), ("../../x", "coder", "auth.unknown")],
)
def test_nobody_submits_in_another_name(installed: Installed, author, key, name):
    one_line(submit(installed, key=key, **{"as": author}), 4, name)
    assert nothing_stored(installed)


def test_a_public_key_does_not_sign(installed: Installed):
    public = Path(installed.key("coder")).with_suffix(".pub")
    public.write_bytes(b"-----BEGIN PUBLIC KEY-----\n")
    answer = submit(installed, "--sign-with", str(public))
    one_line(answer, 1, "key.public")
    assert "chmod" not in answer.out


def test_a_key_that_others_can_read_is_not_used(installed: Installed):
    Path(installed.key("coder")).chmod(0o640)
    one_line(submit(installed), 1, "key.exposed")
    assert nothing_stored(installed)


def test_a_dry_run_stores_nothing_and_the_same_head_again_is_the_same_change(installed: Installed):
    dry = submit(installed, "--dry-run")
    assert (dry.code, dry.doc["stored"]) == (0, False)
    assert nothing_stored(installed)
    first, again = submit(installed), submit(installed)
    assert (first.doc["repeated"], again.doc["repeated"]) == (False, True)
    assert first.doc["change"] == again.doc["change"] == dry.doc["change"]
    assert installed.inbox(str(first.doc["change"])) == ["submit"]
    shown = installed.json("diff", str(first.doc["change"])).doc
    assert (shown["base"], shown["cut_off"], "x.py" in str(shown["patch"])) == (first.doc["base"], False, True)


def test_a_patch_is_a_change_of_its_own_and_the_same_patch_is_the_same_change(installed: Installed):
    (installed.folder / "p").write_text(PATCH)
    first = submit(installed, "--patch", str(installed.folder / "p"), head="")
    again = submit(installed, "--patch", str(installed.folder / "p"), head="")
    assert first.code == again.code == 0, first
    assert first.doc["change"] == again.doc["change"]


def test_nothing_is_taken_in_while_everything_is_killed(installed: Installed):
    installed.run("kill", "all", "--reason", "pager")
    one_line(submit(installed), 7, "halted.all")
    assert nothing_stored(installed)


def test_a_held_author_is_told_so(installed: Installed):
    from evoguard.domain.events import Event

    installed.submitted()
    installed.append(Event("author.held", {"author": "coder", "kill": "abort/x"}, reason="reverted"))
    one_line(submit(installed), 3, "author.held")


@pytest.mark.parametrize(
    ("spoil", "name"),
    [
        (lambda state: state.chmod(0o777), "state.open"),
        (lambda state: (state / "VERSION").write_text("99\n"), "state.newer"),
        (lambda state: (state / ".git").mkdir(), "state.in_git"),
        (lambda state: (state / "settings.toml").write_text("nosuch = 1\n"), "settings.invalid"),
        (lambda state: (state / "evoguard.db").unlink(), "state.missing"),
        (shutil.rmtree, "state.missing"),
    ],
)
@pytest.mark.parametrize("verb", [("list",), ("status",), ("show", CHANGE), ("submit",)])
def test_an_unusable_state_folder_is_refused_with_its_mend(installed: Installed, spoil, name, verb):
    spoil(installed.settings.state)
    answer = submit(installed) if verb == ("submit",) else installed.json(*verb)
    one_line(answer, 1, name)
    assert answer.error["fix"]


def test_a_database_of_a_newer_evoguard_is_refused(installed: Installed):
    with closing(sqlite3.connect(installed.settings.database)) as con:
        con.execute("pragma user_version=99")
    one_line(installed.json("list"), 1, "state.newer")


def test_a_database_that_is_none_is_one_line(installed: Installed):
    installed.settings.database.write_bytes(b"not a database at all" * 100)
    answer = installed.json("list")
    assert (answer.code, answer.error["code"]) == (1, "state.broken")
    assert answer.error["retryable"] is False


def test_a_database_that_another_process_holds_is_transient(installed: Installed):
    with closing(sqlite3.connect(installed.settings.database, isolation_level=None)) as con:
        con.execute("begin exclusive")
        answer = submit(installed)
    one_line(answer, 8, "unavailable.database")
    assert rows_of(installed) == [0, 0]  # the objects stay pinned under the change's own id, for the next try


@pytest.mark.parametrize("change", ["", "x", "ch-zzzzzzzzzzzz", "ch-0123456789ab\n", "../../etc/passwd", "ch-\udcff"])
@pytest.mark.parametrize("verb", ["show", "watch", "approve"])
def test_a_change_that_is_none_is_one_line(installed: Installed, change, verb):
    more = ("--as", "bob", "--sign-with", installed.key("bob"), "--yes") if verb == "approve" else ()
    one_line(installed.json(verb, change, *more), 2, "change.unknown")


@pytest.mark.parametrize("bundle", [b"", b"{}", b"[]", b"\xff\xfe", b'{"a": 1e9}', b"[" * 60_000])
def test_a_bundle_that_is_none_is_not_verified(installed: Installed, bundle):
    (installed.folder / "b").write_bytes(bundle)
    answer = installed.json("verify", str(installed.folder / "b"), "--key", str(installed.settings.service_pub))
    assert (answer.code, answer.doc["verified"]) == (3, False)


@pytest.mark.parametrize("key", [b"", b"-----BEGIN PUBLIC KEY-----\n", b"\0" * 20_000])
def test_a_key_that_is_none_is_one_line(installed: Installed, key):
    (installed.folder / "k").write_bytes(key)
    answer = installed.json("audit", "verify", "--key", str(installed.folder / "k"))
    assert answer.code in (1, 2)
    assert "\n" not in str(answer.error["message"])


@pytest.mark.parametrize("reason", ["", " ", "a\nb", "\x1b[2J", "x" * 501, "\u202e"])
def test_a_kill_without_a_plain_reason_latches_nothing(installed: Installed, reason):
    answer = installed.json("kill", "all", "--reason", reason)
    assert answer.code == 2
    assert not list(installed.settings.kill_dir.glob("*.json"))


def test_an_approval_filed_twice_counts_once(installed: Installed):
    import asyncio

    from evoguard import desk
    from evoguard.errors import InputError
    from evoguard.wiring.desk import parts
    from evoguard.wiring.state import open_state

    installed.waiting()
    opened = open_state(installed.settings)
    try:
        file = {"person": "bob", "verdict": "approve", "nonce": "n" * 20}
        one = asyncio.run(desk.file_vote(parts(opened), change=CHANGE, envelope="{}", **file))
        assert asyncio.run(desk.file_vote(parts(opened), change=CHANGE, envelope="{}", **file)) == one
        with pytest.raises(InputError):
            asyncio.run(desk.file_vote(parts(opened), change=CHANGE, envelope="{ }", **file))
    finally:
        opened.close()
    assert installed.inbox() == ["approve"]


def test_a_state_folder_reached_through_a_link_into_a_work_tree_is_refused(installed: Installed):
    inside = installed.folder / "repo" / "state"
    installed.settings.state.rename(inside)
    installed.settings.state.symlink_to(inside)
    one_line(installed.json("list"), 1, "state.in_git")


def test_a_new_state_is_not_made_through_a_link_into_a_work_tree(installed: Installed):
    (installed.folder / "link").symlink_to(installed.folder / "repo")
    one_line(installed.json("--state", str(installed.folder / "link" / "new"), "init"), 1, "state.in_git")
    assert not (installed.folder / "repo" / "new").exists()


@pytest.mark.parametrize("version", [b"\xff", "\u0661".encode(), b"", b"one", b"-1", b"9" * 10_000])
def test_a_version_file_that_holds_none_is_one_line(installed: Installed, version):
    (installed.settings.state / "VERSION").write_bytes(version)
    answer = installed.json("list")
    one_line(answer, 1, "state.newer" if version.startswith(b"9") else "state.broken")
    assert answer.error["fix"]


def test_a_submission_whose_base_has_no_component_file_says_how_far_it_gets(installed: Installed):
    repo = str(installed.folder / "repo")
    words = ("--repo", repo, "--head", "head", "--base", "main", "--intent", "wish", "--as", "coder")
    bare = installed.run("submit", *words, "--sign-with", installed.key("coder"))
    assert (bare.code, "has no .evoguard.toml" in bare.err) == (0, True)
    again = installed.run("submit", *words, "--sign-with", installed.key("coder"))
    assert "has no .evoguard.toml" not in again.err
    git(installed.folder / "repo", "checkout", "-q", "main")
    (installed.folder / "repo" / ".evoguard.toml").write_text("version = 1\n")
    git(installed.folder / "repo", "add", ".evoguard.toml")
    git(installed.folder / "repo", "commit", "-q", "-m", "m")
    git(installed.folder / "repo", "checkout", "-q", "-b", "next")
    commit(installed.folder / "repo", "x = 9\n")
    guided = installed.run("submit", *words[:3], "next", *words[4:], "--sign-with", installed.key("coder"))
    assert (guided.code, "has no .evoguard.toml" in guided.err) == (0, False)
