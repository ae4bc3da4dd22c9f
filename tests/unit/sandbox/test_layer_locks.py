"""The lock of a layer: only pinned and hashed packages are read, and a changed lock is named."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoguard_sandbox.installing.locks import Pin, lock_changed, lock_of, parse
from evoguard_sandbox.trees import Entry
from evoguard_sandbox.types import LayerError

A, B = "a" * 64, "b" * 64
GOOD = f"demo==1.0 --hash=sha256:{A}\n"


def code_of(text: str) -> str:
    with pytest.raises(LayerError) as caught:
        parse(text.encode())
    assert caught.value.fix
    assert caught.value.message.isprintable()
    return caught.value.code


def test_a_lock_as_tools_write_it_is_read_to_its_pins():
    text = (
        "# made by a tool\n"
        f"Demo.Pkg[extra]==1.0 ; python_version >= '3.8' \\\r\n    --hash=sha256:{A} \\\r\n    --hash=sha256:{B}\r\n"
        f"    # via other\nother==2!1.0+local --hash=sha256:{A}  # why\n\n"
    )
    assert parse(text.encode()) == (
        Pin("Demo.Pkg", "1.0", frozenset({A, B}), "python_version >= '3.8'"),
        Pin("other", "2!1.0+local", frozenset({A})),
    )


def test_a_comment_never_swallows_the_line_after_it():
    text = f"{GOOD.strip()}  # a comment \\\nother==1.0 --hash=sha256:{B}\n# alone \\\nmore==1.0 --hash=sha256:{B}"
    assert [pin.name for pin in parse(text.encode())] == ["demo", "other", "more"]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("demo", "layer.lock_unpinned"),
        ("demo>=1.0", "layer.lock_unpinned"),
        ("demo==1.*", "layer.lock_unpinned"),
        ("demo===1.0", "layer.lock_unpinned"),
        ("demo==1.0,<2", "layer.lock_unpinned"),
        ("demo==1.0", "layer.lock_unhashed"),
        ("demo==1.0 --hash=md5:" + "a" * 32, "layer.lock_unhashed"),
        ("demo==1.0 --hash=sha256:" + "a" * 63, "layer.lock_unhashed"),
        ("demo==1.0 --hash=sha256:" + "A" * 64, "layer.lock_unhashed"),
        (f"demo==1.0 --hash=sha256:{A} --hash=sha256:zz", "layer.lock_unhashed"),
        (f"demo==1.0 --hash=sha256:{A} --global-option=x", "layer.lock_unhashed"),
        (f"demo==1.0 --config-settings=x --hash=sha256:{A}", "layer.lock_option"),
        ("demo @ https://host.example/demo-1.0.whl", "layer.lock_url"),
        (f"https://host.example/demo-1.0-py3-none-any.whl --hash=sha256:{A}", "layer.lock_url"),
        (f"git+https://host.example/demo@main#egg=demo --hash=sha256:{A}", "layer.lock_url"),
        (f"demo @ file:///tmp/demo.whl --hash=sha256:{A}", "layer.lock_url"),
        (f"./demo-1.0-py3-none-any.whl --hash=sha256:{A}", "layer.lock_path"),
        (f"../demo --hash=sha256:{A}", "layer.lock_path"),
        (f"demo-1.0.tar.gz --hash=sha256:{A}", "layer.lock_path"),
        ("-e .", "layer.lock_editable"),
        ("--editable=.", "layer.lock_editable"),
        ("-r other.txt", "layer.lock_include"),
        ("-c other.txt", "layer.lock_include"),
        ("--requirement other.txt", "layer.lock_include"),
        ("-i https://host.example/simple", "layer.lock_option"),
        ("--index-url https://host.example/simple", "layer.lock_option"),
        ("--extra-index-url=https://host.example", "layer.lock_option"),
        ("--find-links wheels", "layer.lock_option"),
        ("--trusted-host host.example", "layer.lock_option"),
        ("--no-binary :all:", "layer.lock_option"),
        ("--pre", "layer.lock_option"),
        (f"--no-binary==x ; --no-binary=evil --hash=sha256:{A}", "layer.lock_option"),
        (f"-e==x --hash=sha256:{A}", "layer.lock_editable"),
        (f"demo==1.0 ; python_version>='3' --global-option=x --hash=sha256:{A}", "layer.lock_option"),
        (f"demo==1.0 ; -i=x --hash=sha256:{A}", "layer.lock_unpinned"),
        (f"demo==${{VERSION}} --hash=sha256:{A}", "layer.lock_variable"),
        (f"demo==1.0 ; python_version>'${{V}}' --hash=sha256:{A}", "layer.lock_variable"),
        (f"demo==1.0 --hash=sha256:{A}\\ # hidden", "layer.lock_unhashed"),
        (f"demo==1.0 --hash=sha256:{A}\x0b-r other.txt", "layer.lock_unhashed"),
        (f"demo==1.0\u2028--index-url=x --hash=sha256:{A}", "layer.lock_option"),
        (f"\ufeffdemo==1.0 --hash=sha256:{A}", "layer.lock_unpinned"),
        (f"dem\u043e==1.0 --hash=sha256:{A}", "layer.lock_unpinned"),
    ],
)
def test_any_line_but_a_pinned_hashed_package_is_refused(line, code):
    other = f"other==1.0 --hash=sha256:{B}\n"
    assert code_of(other + line + "\n") == code
    assert code_of(line + "\n" + other) == code


def test_a_package_named_twice_is_refused_unless_markers_tell_which():
    assert code_of(GOOD + f"Demo==2.0 --hash=sha256:{B}") == "layer.lock_twice"
    both = f"demo==1.0; os_name=='nt' --hash=sha256:{A}\ndemo==2.0; os_name=='posix' --hash=sha256:{B}\n"
    assert [pin.version for pin in parse(both.encode())] == ["1.0", "2.0"]


@pytest.mark.parametrize(
    ("lock", "code"),
    [(b"", "layer.lock_empty"), (b"# only words\n", "layer.lock_empty"), (b"\xff\xfe", "layer.lock_unreadable")],
)
def test_an_empty_or_unreadable_lock_is_no_lock(lock, code):
    with pytest.raises(LayerError) as caught:
        parse(lock)
    assert caught.value.code == code


@settings(deadline=None)
@given(st.text(alphabet="demo=1.0-\\ #;'\"\n\r\t@/$%{}rehashsa256:" + "a", max_size=200))
def test_whatever_is_read_reaches_pip_as_plain_pins_only(text):
    try:
        pins = parse((GOOD + text).encode())
    except LayerError:
        return
    for pin in pins:
        assert pin.hashes
        hashes = "".join(f" --hash=sha256:{value}" for value in pin.hashes)
        assert parse((pin.wanted + hashes).encode()) == (pin,)
        assert "\n" not in pin.wanted
        assert "${" not in pin.wanted
        assert not pin.wanted.startswith("-")
        assert " -" not in pin.wanted


def tree(**texts: str | None) -> dict[str, Entry]:
    names = {"lock": "requirements.lock", "txt": "requirements.txt", "own": "deps/own.lock"}
    return {names[name]: Entry("file", text.encode()) for name, text in texts.items() if text is not None}


@pytest.mark.parametrize(
    ("base", "name", "lock"),
    [
        (tree(), "", None),
        (tree(lock=GOOD, txt="demo"), "", GOOD),
        (tree(lock="demo"), "", "demo"),
        (tree(txt=GOOD), "", GOOD),
        (tree(txt="demo>=1"), "", None),
        (tree(txt=""), "", None),
        (tree(lock="x", own=GOOD), "deps/own.lock", GOOD),
    ],
)
def test_the_lock_is_the_named_one_or_a_default_that_is_fully_hashed(base, name, lock):
    assert lock_of(base, name) == (lock if lock is None else lock.encode())


@pytest.mark.parametrize(
    ("base", "code"),
    [(tree(), "layer.lock_missing"), ({"deps/own.lock": Entry("link", b"../other")}, "layer.lock_path")],
)
def test_a_named_lock_that_is_absent_or_a_link_is_an_error(base, code):
    with pytest.raises(LayerError) as caught:
        lock_of(base, "deps/own.lock")
    assert caught.value.code == code


OTHER = GOOD.replace("1.0", "1.1")


@pytest.mark.parametrize(
    ("base", "candidate", "name", "seen"),
    [
        (tree(lock=GOOD), tree(lock=GOOD), "", []),
        (tree(), tree(), "", []),
        (tree(txt="demo"), tree(txt="demo>=2"), "", []),
        (tree(lock=GOOD), tree(lock=OTHER), "", [("requirements.lock", "changes")]),
        (tree(lock=GOOD), tree(lock=GOOD + "\n"), "", [("requirements.lock", "changes")]),
        (tree(lock=GOOD), tree(), "", [("requirements.lock", "deletes")]),
        (tree(lock=GOOD), {"requirements.lock": Entry("link", GOOD.encode())}, "", [("requirements.lock", "changes")]),
        (tree(), tree(lock=GOOD), "", [("requirements.lock", "adds")]),
        (tree(), tree(txt=GOOD), "", [("requirements.txt", "adds")]),
        (tree(txt=GOOD), tree(txt="demo"), "", [("requirements.txt", "changes")]),
        (tree(txt=GOOD), tree(txt=GOOD, lock=OTHER), "", [("requirements.lock", "adds")]),
        (tree(own=GOOD), tree(own=OTHER), "deps/own.lock", [("deps/own.lock", "changes")]),
        (tree(own=GOOD), tree(own=GOOD, lock=OTHER), "deps/own.lock", []),
    ],
)
def test_a_lock_that_is_not_the_bases_is_named(base, candidate, name, seen):
    found = lock_changed(base, candidate, name)
    assert [(f.path, f.term) for f in found] == seen
    assert all(f.code == "tests.lock_changed" for f in found)
