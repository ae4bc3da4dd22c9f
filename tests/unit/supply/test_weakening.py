"""What a change takes from its tests, and what it adds that nobody reads."""

from __future__ import annotations

import base64

import pytest

from unit.supply.given_trees import Told, looked_at

STRONG = """
import pytest

def test_a():
    assert f(1) == 2
    assert g() is True

def test_b():
    with pytest.raises(ValueError):
        f(-1)

@pytest.mark.parametrize("x", [1, 2, 3])
@pytest.mark.timeout(5)
def test_c(x):
    assert h(x) == pytest.approx(1.0, rel=0.01)

class TestD:
    def test_e(self):
        self.assertEqual(f(1), 2)
"""


def rules(base: Told, head: Told, moved: dict[str, str] | None = None) -> set[str]:
    return {note.rule for note in looked_at(base, head, moved).weakened}


def edited(old: str, new: str) -> set[str]:
    assert old in STRONG
    return rules({"tests/test_x.py": STRONG}, {"tests/test_x.py": STRONG.replace(old, new, 1)})


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("def test_a", "@pytest.mark.skip\ndef test_a", "tests.skipped"),
        ("def test_a", "@pytest.mark.skipif(True, reason='x')\ndef test_a", "tests.skipped"),
        ("def test_a", "@pytest.mark.xfail\ndef test_a", "tests.skipped"),
        ("def test_a():", "def test_a():\n    pytest.skip('x')", "tests.skipped"),
        ("import pytest", "import pytest\npytestmark = pytest.mark.skip", "tests.skipped"),
        ("import pytest", "import pytest\npytest.importorskip('x')", "tests.skipped"),
        ("class TestD:", "@unittest.skip('x')\nclass TestD:", "tests.skipped"),
        ("def test_b", "def helper_b", "tests.deleted"),
        ("class TestD:", "class HelperD:", "tests.deleted"),
        ("    assert g() is True\n", "", "tests.fewer_asserts"),
        ("self.assertEqual(f(1), 2)", "f(1)", "tests.fewer_asserts"),
        ("f(1) == 2", "f(1) in (1, 2, 3)", "tests.looser_asserts"),
        ("f(1) == 2", "f(1) >= 2", "tests.looser_asserts"),
        ("f(1) == 2", "f(1)", "tests.looser_asserts"),
        ("f(1) == 2", "f(1) == 2 or True", "tests.looser_asserts"),
        ("self.assertEqual(f(1), 2)", "self.assertTrue(f(1))", "tests.looser_asserts"),
        ("rel=0.01", "rel=0.5", "tests.wider_tolerance"),
        ("timeout(5)", "timeout(500)", "tests.longer_timeout"),
        ("@pytest.mark.timeout(5)\n", "", "tests.longer_timeout"),
        ("[1, 2, 3]", "[1]", "tests.fewer_cases"),
        ("raises(ValueError)", "raises(Exception)", "tests.wider_raises"),
        ("    assert f(1) == 2\n", "    try:\n        assert f(1) == 2\n    except AssertionError:\n        pass\n",
        "tests.broad_except"),
        ("    assert f(1) == 2\n", "    with suppress(Exception):\n        assert f(1) == 2\n", "tests.broad_except"),
        ("import pytest\n", "import pytest\n def(", "tests.not_compared"),
    ],
)  # fmt: skip
def test_each_way_to_weaken_a_test_is_told(old: str, new: str, rule: str) -> None:
    assert rule in edited(old, new)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("assert g() is True", "assert g() is True\n    assert g2() == 1"), ("f(1) == 2", "f(1) == 3"),
        ("rel=0.01", "rel=0.001"), ("timeout(5)", "timeout(2)"), ("[1, 2, 3]", "[1, 2, 3, 4]"),
        ("raises(ValueError)", "raises(KeyError)"), ("import pytest\n", "import os\n\nimport pytest\n\n# moved\n"),
    ],
)  # fmt: skip
def test_what_is_as_strong_or_stronger_is_not_told(old: str, new: str) -> None:
    assert edited(old, new) == set()


def test_a_test_that_moves_with_its_file_is_not_told() -> None:
    assert (
        rules({"tests/test_x.py": STRONG}, {"tests/test_y.py": STRONG}, {"tests/test_y.py": "tests/test_x.py"}) == set()
    )


def test_a_test_file_that_goes_or_is_no_test_file_any_more() -> None:
    assert rules({"tests/test_x.py": STRONG}, {}) == {"tests.file_deleted"}
    head = {"old/x.py.txt": STRONG}
    assert rules({"tests/test_x.py": STRONG}, head, {"old/x.py.txt": "tests/test_x.py"}) == {"tests.file_deleted"}
    assert rules({"pkg/a_test.go": "x"}, {}) == {"tests.file_deleted"}


def test_code_is_no_test() -> None:
    assert rules({"lending/scoring.py": "assert f() == 1\n"}, {"lending/scoring.py": "f()\n"}) == set()


@pytest.mark.parametrize(
    ("path", "old", "new", "rule"),
    [
        ("src/a.test.ts", "it('x', () => expect(1).toBe(1))", "it.skip('x', () => expect(1).toBe(1))", "tests.skipped"),
        ("src/a.test.ts", "it('x', () => expect(1).toBe(1))", "it.only('x', () => expect(1).toBe(1))", "tests.skipped"),
        ("a_test.go", "t.Fatal(1)", "t.Skip(1); t.Fatal(1)", "tests.skipped"),
        ("a_test.go", "t.Fatal(1)", "_ = t", "tests.fewer_asserts"),
        ("src/test/ATest.java", "assertEquals(1, x)", "@Disabled assertEquals(1, x)", "tests.skipped"),
        ("tests/a.rs", "assert!(x)", "#[ignore] assert!(x)", "tests.skipped"),
    ],
)  # fmt: skip
def test_other_languages_are_compared_by_their_words(path: str, old: str, new: str, rule: str) -> None:
    assert rule in rules({path: old}, {path: new})
    assert rules({path: new}, {path: new + "\n"}) == set()


@pytest.mark.parametrize(
    ("path", "old", "new", "rule"),
    [
        ("pyproject.toml", "[tool.coverage.report]\nfail_under = 90\n", "[tool.coverage.report]\nfail_under = 50\n",
         "tests.lower_coverage"),
        (".coveragerc", "[report]\nfail_under = 90\n", "[report]\n", "tests.lower_coverage"),
        (".coveragerc", "[report]\nfail_under = 90\n", None, "tests.lower_coverage"),
        ("setup.cfg", "[coverage:run]\nomit = a\n", "[coverage:run]\nomit = a\n  lending/*\n", "tests.more_left_out"),
        ("pyproject.toml", '[tool.coverage.run]\nomit = ["a"]\n', '[tool.coverage.run]\nomit = ["a", "b"]\n',
         "tests.more_left_out"),
        ("pytest.ini", "[pytest]\naddopts = -q\n", "[pytest]\naddopts = -q --deselect tests/test_a.py\n",
        "tests.more_left_out"),
        ("pytest.ini", "[pytest]\naddopts = --strict-markers\n", "[pytest]\naddopts = -q\n", "tests.less_strict"),
        ("pyproject.toml", "[tool.pytest.ini_options]\ntimeout = 5\n", "[tool.pytest.ini_options]\ntimeout = 50\n",
         "tests.longer_timeout"),
        ("package.json", '{"jest": {"coverageThreshold": {"global": {"lines": 90}}}}',
         '{"jest": {"coverageThreshold": {"global": {"lines": 10}}}}', "tests.lower_coverage"),
    ],
)  # fmt: skip
def test_settings_that_ask_for_less(path: str, old: str, new: str | None, rule: str) -> None:
    assert rule in rules({path: old}, {} if new is None else {path: new})
    assert rules({path: old}, {path: old + "\n"}) == set()


@pytest.mark.parametrize(
    ("path", "data", "rule"),
    [
        ("a/min.py", b"# Code generated by x\n", "blob.generated"), ("a.min.js", b"x", "blob.minified"),
        ("a.js", b"x" * 3_000, "blob.minified"),
        ("a.py", b'X = "' + base64.b64encode(bytes(range(256)) * 3) + b'"', "blob.encoded"),
        ("a.so", b"\x7fELF\0", "blob.compiled"), ("m.pkl", b"\x80\x04", "blob.compiled"),
        ("m.bin2", b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "blob.elsewhere"),
        ("a.py", b"x = 1\n" * 400_000, "blob.large"),
    ],
)  # fmt: skip
def test_what_nobody_reads_is_told_once(path: str, data: bytes, rule: str) -> None:
    assert rule in {note.rule for note in looked_at({}, {path: data}).blobs}
    assert looked_at({path: data}, {path: data + b"\n"}).blobs == ()


def test_plain_files_are_no_blobs() -> None:
    tree = {"a.py": STRONG, "README.md": "x" * 3_000, "requirements.lock": "x" * 3_000, "data.csv": "1," * 3_000}
    assert looked_at({}, tree).blobs == ()
