"""What a wheel says of itself is compared with its lock, its own files, the other wheels and this Python."""

from __future__ import annotations

from pathlib import Path

import pytest

from evoguard_sandbox import Interpreter
from evoguard_sandbox.installing.metadata import Told, check_together, same_version
from evoguard_sandbox.layers import Layer, build, check_python
from evoguard_sandbox.types import LayerError
from unit.sandbox.wheels import fetching, lock, urlsafe, wheel

INFO = "demo-1.0.dist-info"
TEXT = "x = 1\n"
TARGET = "cpython-311 3 11 7 linux-x86_64"


def built(folder: Path, data: bytes) -> Layer:
    return build(lock(demo=data), folder=folder, python=Interpreter.current(), fetch=fetching(demo=data))


def code_of(folder: Path, data: bytes) -> str:
    with pytest.raises(LayerError) as caught:
        built(folder, data)
    assert caught.value.fix
    assert caught.value.message.isprintable()
    assert sorted(p.name for p in folder.iterdir()) == [".building", "keys"]
    return caught.value.code


def record(**changed: str) -> str:
    """Return the RECORD of a wheel of demo.py, each part as it should be or as asked."""
    metadata = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
    rows = {
        "demo.py": f"sha256={urlsafe(TEXT)},6",
        f"{INFO}/METADATA": f"sha256={urlsafe(metadata)},",
        f"{INFO}/RECORD": ",",
        **changed,
    }
    return "".join(f"{path},{rest}\n" for path, rest in rows.items() if rest)


def test_a_wheel_whose_record_is_true_is_taken(tmp_path):
    assert built(tmp_path / "l", wheel({"demo.py": TEXT}, record=record())).packages[0][0] == "demo"


@pytest.mark.parametrize(
    "told",
    [
        record(**{"demo.py": f"sha256={urlsafe('other')},6"}),
        record(**{"demo.py": ",6"}),
        record(**{"demo.py": "md5=c4ca4238a0b923820dcc509a6f75849b,6"}),
        record(**{"demo.py": "sha256=,6"}),
        record(**{"demo.py": ""}),
        record(**{"absent.py": "sha256=x,"}),
        record(**{"../../etc/passwd": "sha256=x,"}),
        record(**{f"{INFO}/METADATA": f"sha256={urlsafe('')},"}),
        record() + f"demo.py,sha256={urlsafe(TEXT)},6\n",
    ],
    ids=[
        "another hash",
        "no hash",
        "a weak hash",
        "an empty hash",
        "unlisted",
        "absent",
        "outside",
        "metadata",
        "twice",
    ],
)
def test_a_record_that_lies_is_refused(tmp_path, told):
    assert code_of(tmp_path / "l", wheel({"demo.py": TEXT}, record=told)) == "layer.record_lies"


@pytest.mark.parametrize("told", ["demo.py\n", '"demo.py\n'])
def test_a_record_that_is_no_list_is_refused(tmp_path, told):
    assert code_of(tmp_path / "l", wheel({"demo.py": TEXT}, record=told)) in ("layer.bad_wheel", "layer.record_lies")


@pytest.mark.parametrize(
    "data",
    [
        wheel({"demo.py": TEXT}, "other"),
        wheel({"demo.py": TEXT}, version="2.0"),
        wheel({f"{INFO}/METADATA": "Name: other\nVersion: 1.0\n"}),
        wheel({f"{INFO}/METADATA": "Name: demo\nVersion: 6.6\n"}),
    ],
    ids=["another folder", "another version's folder", "another name", "another version"],
)
def test_a_wheel_of_another_release_under_the_locks_hash_is_refused(tmp_path, data):
    assert code_of(tmp_path / "l", data) == "layer.other_package"


@pytest.mark.parametrize("told", ["", "Name: demo\n", "Name: demo\nName: other\nVersion: 1.0\n", "\n\nName: demo\n"])
def test_metadata_that_names_no_one_release_is_refused(tmp_path, told):
    assert code_of(tmp_path / "l", wheel({f"{INFO}/METADATA": told})) == "layer.bad_wheel"


def test_one_release_may_be_spelled_in_several_ways():
    assert same_version("1.0", "1.0.0")
    assert same_version("1.0a1", "1.0.alpha1")
    assert not same_version("1.0", "1.0.1")
    assert not same_version("not a version", "1.0")


def test_a_release_for_another_python_is_refused(tmp_path):
    data = wheel({"demo.py": TEXT}, metadata="Requires-Python: <3.0\n")
    assert code_of(tmp_path / "l", data) == "layer.requires_python"


def test_a_lock_that_does_not_resolve_is_refused(tmp_path):
    data = wheel({"demo.py": TEXT}, metadata="Requires-Dist: other>=2\n")
    assert code_of(tmp_path / "l", data) == "layer.unresolved"


def told(*requires: str, name: str = "demo", version: str = "1.0", python: str = "") -> Told:
    return Told(name, version, python, requires)


@pytest.mark.parametrize(
    "requires",
    ["other", "other>=1,<2", "Other[extra]==1.5", "other<1; python_version < '3.0'", "absent; extra == 'dev'",
     "pytest>=99", "setuptools", "absent; sys_platform == 'win32'", "not (a requirement"],
)  # fmt: skip
def test_what_is_there_or_not_wanted_here_is_no_complaint(requires):
    check_together([told(requires, python=">=3.8"), told(name="other", version="1.5")], TARGET)


@pytest.mark.parametrize("requires", ["absent", "other>=2", "other!=1.5", "other<1; python_version >= '3.0'"])
def test_what_is_wanted_and_not_there_is_named(requires):
    with pytest.raises(LayerError, match="does not resolve") as caught:
        check_together([told(requires), told(name="other", version="1.5")], TARGET)
    assert caught.value.code == "layer.unresolved"


@pytest.mark.parametrize(
    ("wants", "fits"), [(">=3.11", True), (">=3.12", False), ("<3.11.5", False), ("nonsense", True)]
)
def test_the_python_that_counts_is_the_one_of_the_sandbox(wants, fits):
    if fits:
        check_together([told(python=wants)], TARGET)
    else:
        with pytest.raises(LayerError) as caught:
            check_together([told(python=wants)], TARGET)
        assert caught.value.code == "layer.requires_python"


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        (None, True),
        (b"", True),
        (b"[project]\nrequires-python = '>=3.8'\n", True),
        (b"[project]\nrequires-python = '>=3.99'\n", False),
        (b"[project]\nrequires-python = '<3'\n", False),
        (b"project = 1\n", True),
        (b"\xff", True),
        (b"[project\n", True),
    ],
)
def test_a_project_for_another_python_is_told_so_before_anything_runs(text, fits):
    if fits:
        check_python(text, Interpreter.current())
    else:
        with pytest.raises(LayerError, match="the project wants Python") as caught:
            check_python(text, Interpreter.current())
        assert (caught.value.code, bool(caught.value.fix)) == ("layer.requires_python", True)


def test_an_interpreter_that_is_not_there_is_named(tmp_path):
    with pytest.raises(LayerError) as caught:
        check_python(b"", Interpreter(tmp_path, "python3.99"))
    assert (caught.value.code, bool(caught.value.fix)) == ("layer.no_python", True)
