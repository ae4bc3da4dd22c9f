"""Requirements files say what pip reads in them: nothing is hidden by how they are written."""

from __future__ import annotations

import codecs

import pytest

from unit.supply.given_trees import HASH, OTHER_HASH, brought, faults, looked_at

BASE = {"requirements.txt": f"requests==2.31.0 {HASH}\n"}


def test_what_stays_as_it_was_is_not_told() -> None:
    assert brought(BASE, {**BASE, "a.py": "x = 1\n"}) == {}


@pytest.mark.parametrize(
    "more",
    [
        f"evil==1 \\\n    {HASH}\n",
        f"evil==1 \\\n\n{HASH.replace('--hash', '--pre --hash')}\n",
        "evil==1; python_version >= '3'\n",
        "evil[extra,other]==1\n",
        "evil == 1  # pinned by the team\n",
        "Evil==1\n",
        "evil===1\n",
        "evil\n",
        "   evil>=1,<2\n",
        "evil @ https://a.example/evil-1.tar.gz\n",
        "https://a.example/evil-1-py3-none-any.whl\n",
        "git+https://a.example/evil.git#egg=evil\n",
        "-e git+https://a.example/evil.git@main#egg=evil\n",
        "#\x0cevil==1\n",
        "# a comment \u2028evil==1\n",
        "# a comment\revil==1\n",
    ],
)
def test_a_dependency_is_seen_however_it_is_written(more: str) -> None:
    assert brought(BASE, {"requirements.txt": BASE["requirements.txt"] + more}).get("evil") == "added"


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, b""])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_byte_order_mark_and_line_ends_hide_nothing(mark: bytes, end: str) -> None:
    text = BASE["requirements.txt"] + "evil==1\n"
    assert brought(BASE, {"requirements.txt": mark + text.replace("\n", end).encode()})["evil"] == "added"


@pytest.mark.parametrize(("mark", "name"), [(codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF32_BE, "utf-32-be")])
def test_wide_characters_are_read_as_pip_reads_them(mark: bytes, name: str) -> None:
    assert brought({}, {"requirements.txt": mark + "evil==1\n".encode(name)})["evil"] == "added"


@pytest.mark.parametrize(
    "path", ["requirements/dev.txt", "constraints.txt", "dev-requirements.txt", "requirements.lock", "reqs/all.in"]
)
def test_names_that_people_give_such_files_count(path: str) -> None:
    assert brought(BASE, {**BASE, path: "evil==1\n"})["evil"] == "added"


@pytest.mark.parametrize(
    "option", ["-r other", "-rother", "--requirement other", "--requirement=other", "--req other", "-c other"]
)
def test_a_file_of_any_name_is_followed(option: str) -> None:
    head = {"requirements.txt": BASE["requirements.txt"] + option + "\n", "other": "evil==1\n"}
    assert brought(BASE, head)["evil"] == "added"


def test_files_that_name_each_other_end() -> None:
    head = {"requirements.txt": "-r a.cfg2\n", "a.cfg2": "-r b.cfg2\n", "b.cfg2": "-r a.cfg2\nevil==1\n"}
    assert brought({}, head)["evil"] == "added"


@pytest.mark.parametrize("named", ["missing.txt", "../out.txt", "https://a.example/x.txt", "/etc/x"])
def test_a_file_that_is_not_in_the_tree_is_a_fault(named: str) -> None:
    assert faults({"requirements.txt": f"-r {named}\n"})


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://a.example/simple", "-i https://a.example/simple", "--extra https://a.example/simple",
        "--extra-index-url=https://a.example/simple", "--find-links https://a.example/", "--trusted-host a.example",
    ],
)  # fmt: skip
def test_another_index_is_another_origin(line: str) -> None:
    (one,) = looked_at(BASE, {"requirements.txt": BASE["requirements.txt"] + line + "\n"}).brought
    assert one.dependency.origin == "other-index"
    assert "a.example" in one.dependency.where


def test_a_password_in_an_address_is_not_kept() -> None:
    line = "--index-url https://user:hunter2@a.example/simple\nevil @ https://user:hunter2@a.example/evil-1.zip\n"
    told = str([one.as_json() for one in looked_at({}, {"requirements.txt": line}).brought])
    assert "a.example" in told
    assert told.count("hunter2") <= 1  # the requirement's own text is in the diff


@pytest.mark.parametrize(
    "text",
    [
        "requests==2.31.0 # fine \\\nevil==1\n", "evil==1 --index-url https://a.example\n", "evil == \n",
        "${NAME}==1\n", "evil==1 --hash=sha256:short\n", "--no-such-option x\n", "evil==1 --hash\n", "evil==1 'x\n",
        "-- \n", "a b c\n",
        "evil @ https://${HOST}/evil-1.zip\n",
        "# coding: utf-7\nevil==1\n", "x" * 70_000 + "\n",
        "evil==1 \\\n# hm\n--pre\n", "--hash=sha256:" + "a" * 64 + "\n",
    ],
)  # fmt: skip
def test_what_nobody_can_read_or_readers_take_differently_is_a_fault(text: str) -> None:
    assert faults({"requirements.txt": text})


@pytest.mark.parametrize("data", [b"\xff\xfe\xfd", b"evil==1\n\0", codecs.BOM_UTF16_LE + b"e", b"ev\xe9l==1\n"])
def test_bytes_that_are_no_text_are_a_fault(data: bytes) -> None:
    assert faults({"requirements.txt": data})


def test_a_fault_of_a_file_that_was_not_touched_is_old() -> None:
    assert faults({"requirements.txt": "a b c\n", "x.py": "1\n"}, {"requirements.txt": "a b c\n"}) == []


def test_a_fault_of_a_file_that_was_touched_is_told_again() -> None:
    assert faults({"requirements.txt": "a b c\nx==1\n"}, {"requirements.txt": "a b c\n"})


def test_a_lock_that_moves_with_its_content_is_old() -> None:
    lock = {"requirements.lock": BASE["requirements.txt"]}
    assert (
        brought(
            lock, {"deps/requirements.lock": BASE["requirements.txt"]}, {"deps/requirements.lock": "requirements.lock"}
        )
        == {}
    )


@pytest.mark.parametrize("name", ["pinned.txt", "deps", "everything.lock", "a.in"])
def test_a_lock_by_another_name_is_read(name: str) -> None:
    assert brought(BASE, {name: BASE["requirements.txt"] + f"evil==1 {HASH}\n"}, {name: "requirements.txt"}) == {
        "evil": "added"
    }


def test_prose_is_no_lock() -> None:
    assert (
        looked_at({}, {"notes.txt": "first\nsecond thing\n", "LICENSE": "MIT\n", "words.txt": "a\nb\n"}).brought == ()
    )


def test_other_content_under_the_same_version_is_told() -> None:
    head = {"requirements.txt": f"requests==2.31.0 {OTHER_HASH}\n"}
    assert brought(BASE, head) == {"requests": "rehashed"}


def test_one_more_file_of_a_release_is_no_other_content() -> None:
    assert brought(BASE, {"requirements.txt": f"requests==2.31.0 {HASH} {OTHER_HASH}\n"}) == {"requests": "changed"}


@pytest.mark.parametrize(
    ("line", "pinned"),
    [
        (f"evil==1 {HASH}", "digest"), ("evil==1", "version"), ("evil", "floating"), ("evil>=1", "floating"),
        ("evil==1.*", "floating"), (f"evil>=1 {HASH}", "floating"),
        ("git+https://a.example/e.git@main#egg=evil", "floating"),
        ("git+https://a.example/e.git@" + "a" * 40 + "#egg=evil", "digest"),
        ("https://a.example/evil-1.zip", "floating"),
    ],
)  # fmt: skip
def test_how_firmly_it_is_pinned(line: str, pinned: str) -> None:
    (one,) = looked_at({}, {"requirements.txt": line + "\n"}).brought
    assert one.dependency.pinned == pinned


def test_a_manifest_is_as_firm_as_its_lock() -> None:
    manifest = '[project]\nname = "x"\ndependencies = ["evil>=1"]\n'
    lock = f"evil==1 {HASH}\n"
    found = looked_at({}, {"pyproject.toml": manifest, "requirements.lock": lock}).brought
    assert {one.dependency.pinned for one in found} == {"digest"}
    apart = looked_at({}, {"app/pyproject.toml": manifest, "other/requirements.lock": lock}).brought
    assert {one.dependency.pinned for one in apart} == {"digest", "floating"}


def test_a_lock_that_is_gone_leaves_its_manifest_floating() -> None:
    manifest = {"pyproject.toml": '[project]\nname = "x"\ndependencies = ["evil>=1"]\n'}
    (one,) = looked_at({**manifest, "requirements.lock": f"evil==1 {HASH}\n"}, manifest).brought
    assert (one.dependency.name, one.dependency.pinned, one.change) == ("evil", "floating", "changed")
