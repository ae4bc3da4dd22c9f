"""Python's TOML files, Go's files, images, actions, and files of kinds that nobody here reads."""

from __future__ import annotations

import pytest

from evoguard.supply.types import MOST_FILE_BYTES
from unit.supply.given_trees import File, brought, faults, looked_at

DIGEST = "@sha256:" + "a" * 64
SUM = "h1:" + "A" * 43 + "="


def project(rest: str) -> dict[str, str]:
    return {"pyproject.toml": f'[project]\nname = "x"\n{rest}'}


@pytest.mark.parametrize(
    "rest",
    [
        'dependencies = ["evil==1"]', '[project.optional-dependencies]\nx = ["evil==1"]',
        '[dependency-groups]\ndev = ["evil==1", {include-group = "b"}]\nb = []', '[build-system]\nrequires = ["evil"]',
        '[tool.poetry.dependencies]\npython = "^3.11"\nevil = "^1"',
        '[tool.poetry.group.x.dependencies]\nevil = {version = "1"}',
        '[tool.hatch.envs.test]\ndependencies = ["evil"]', '[tool.uv]\ndev-dependencies = ["evil"]',
        '[tool.pdm.dev-dependencies]\nx = ["evil"]',
    ],
)  # fmt: skip
def test_no_table_of_a_project_is_forgotten(rest: str) -> None:
    assert brought(project(""), project(rest)) == {"evil": "added"}


@pytest.mark.parametrize(
    ("rest", "origin"),
    [
        ('dependencies = ["evil"]\n[tool.uv.sources]\nevil = {git = "https://a.example/e"}', "git"),
        ('dependencies = ["evil"]\n[tool.uv.sources]\nevil = [{url = "http://a.example/e.zip"}]', "insecure"),
        ('dependencies = ["evil"]\n[tool.uv.sources]\nevil = {index = "mine"}', "other-index"),
        ('[tool.poetry.dependencies]\nevil = {path = "../e"}', "path"),
        ('[tool.poetry.dependencies]\nevil = {version = "1", source = "mine"}', "other-index"),
        ('[[tool.uv.index]]\nurl = "https://a.example"', "other-index"),
        ('[[tool.poetry.source]]\nurl = "https://a.example"', "other-index"),
        ('[tool.uv]\nextra-index-url = ["https://a.example"]', "other-index"),
    ],
)  # fmt: skip
def test_where_a_project_takes_it_from(rest: str, origin: str) -> None:
    assert origin in {one.dependency.origin for one in looked_at(project(""), project(rest)).brought}


@pytest.mark.parametrize(
    "text",
    [
        "[project", 'name = "a"\nname = "b"', "\ufeff[project]",
        '[project]\ndependencies = "evil"', "x = " + "[" * 5_000,
        '[project]\ndependencies = ["evil =="]', "[project]\ndependencies = [7]",
        '[project]\ndynamic = ["dependencies"]', "[project]\noptional-dependencies = []",
    ],
)  # fmt: skip
def test_a_project_file_that_cannot_be_read_is_a_fault(text: str) -> None:
    assert faults({"pyproject.toml": text})


def test_dependencies_that_a_project_reads_from_a_file() -> None:
    rest = 'dynamic = ["dependencies"]\n[tool.setuptools.dynamic]\ndependencies = {file = ["deps.list"]}'
    assert brought({}, {**project(rest), "deps.list": "evil==1\n"}) == {"evil": "added"}


def test_a_python_lock() -> None:
    text = '[[package]]\nname = "evil"\nversion = "1"\nsource = { registry = "x" }\n'
    text += 'wheels = [{ url = "x", hash = "sha256:' + "a" * 64 + '" }]\n'
    (one,) = looked_at({}, {"uv.lock": text}).brought
    assert (one.dependency.name, one.dependency.version, one.dependency.pinned) == ("evil", "1", "digest")
    assert faults({"poetry.lock": "x = 1\n"})


def test_go() -> None:
    text = "module x\n\ngo 1.22\nrequire (\n\ta.example/evil v1.2.3 // indirect\n)\nrequire a.example/b v0.0.1\n"
    text += "replace a.example/b => a.example/fork v1.0.0\n"
    assert brought({}, {"go.mod": text}) == {
        "a.example/evil": "added", "a.example/b": "added", "a.example/fork": "renamed",
    }  # fmt: skip
    (one,) = looked_at({}, {"go.sum": f"a.example/evil v1.2.3 {SUM}\na.example/evil v1.2.3/go.mod {SUM}\n"}).brought
    assert one.dependency.pinned == "digest"


@pytest.mark.parametrize(
    "text", ["require evil\n", "install x\n", "require (\na.example/b v1.0.0\n", "require a b c\n"]
)
def test_a_go_file_that_go_would_not_read_is_a_fault(text: str) -> None:
    assert faults({"go.mod": text})


@pytest.mark.parametrize(
    ("text", "images"),
    [
        ("FROM python:3.11\n", ["python"]), ("from Python:3.11 as x\nFROM x\nFROM scratch\n", ["python"]),
        ("FROM \\\n# hm\n  evil\n", ["evil"]), ("# escape=`\nFROM `\n evil\n", ["evil"]),
        ("ARG B=evil\nFROM $B\n", ["evil"]), ("FROM ${B:-evil}\n", ["evil"]),
        ("FROM --platform=linux/amd64 evil AS y\n", ["evil"]),
        ("# syntax=evil/front:1\nFROM scratch\n", ["evil/front"]), ("FROM scratch\nCOPY --from=evil /x /x\n", ["evil"]),
        ("FROM scratch\nRUN --mount=type=bind,from=evil,target=/x y\n", ["evil"]), ("\ufeffFROM evil\r\n", ["evil"]),
        ("FROM a.example:5000/team/evil:1\n", ["a.example:5000/team/evil"]),
    ],
)  # fmt: skip
def test_images(text: str, images: list[str]) -> None:
    assert [one.dependency.name for one in looked_at({}, {"Dockerfile": text}).brought] == images


def test_only_a_digest_pins_an_image() -> None:
    found = looked_at({}, {"a.dockerfile": f"FROM evil:1{DIGEST}\nFROM other:1\nFROM $UNKNOWN\n"}).brought
    assert [one.dependency.pinned for one in found] == ["digest", "floating", "floating"]


def test_a_file_that_an_image_fetches() -> None:
    found = looked_at(
        {}, {"Dockerfile": "FROM scratch\nADD https://a.example/x /x\nADD http://a.example/y /y\n"}
    ).brought
    assert [one.dependency.origin for one in found] == ["url", "insecure"]


@pytest.mark.parametrize("text", ["FROM\n", "FROM a b c d\n", "FROM 'x y'\n"])
def test_an_image_that_cannot_be_read_is_a_fault(text: str) -> None:
    assert faults({"Dockerfile": text})


def workflow(uses: str) -> dict[str, str]:
    return {".github/workflows/ci.yml": f"on: push\njobs:\n  a:\n    steps:\n    - uses: {uses}\n"}


def test_actions() -> None:
    found = looked_at({}, workflow("Acme/Build/sub@v1")).brought
    assert [(one.dependency.name, one.dependency.pinned) for one in found] == [("acme/build", "floating")]
    assert looked_at({}, workflow(f"acme/build@{'a' * 40}")).brought[0].dependency.pinned == "digest"
    assert looked_at({}, workflow(f"docker://evil{DIGEST}")).brought[0].dependency.ecosystem == "docker"
    assert looked_at({}, workflow("./local")).brought == ()
    assert brought({}, {"docker-compose.yml": "services:\n  a:\n    image: evil:1\n"}) == {"evil": "added"}


@pytest.mark.parametrize(
    "text",
    [
        "a: [", "a: &x 1\nb: *x\n", "jobs: {a: 1, a: 2}\n", "a:\n- uses: ${{ x }}\n", "a:\n- uses: evil\n",
        "x: " + "[" * 3_000 + "]" * 3_000, "- !!python/object/apply:os.system [x]\n- [", "a: 1\n" * 60_000,
    ],
)  # fmt: skip
def test_a_workflow_that_cannot_be_read_is_a_fault(text: str) -> None:
    assert faults({".github/workflows/ci.yml": text})


@pytest.mark.parametrize("name", ["pom.xml", "Gemfile.lock", "bun.lock", "sub/Pipfile"])
def test_a_kind_that_nobody_here_reads_is_told(name: str) -> None:
    (fault,) = looked_at({}, {name: "x"}).faults
    assert fault.kind == "unsupported"
    assert looked_at({name: "x"}, {name: "x", "a.py": ""}).faults == ()


def test_dependencies_that_only_code_knows_are_told() -> None:
    assert looked_at({}, {"setup.py": "setup(install_requires=X)"}).faults[0].kind == "unsupported"
    assert looked_at({}, {"setup.py": "setup()"}).faults == ()


@pytest.mark.parametrize("name", ["requirements.txt", "package-lock.json", "go.sum", "uv.lock", "everything.lock"])
def test_a_lock_of_fifty_megabytes_is_a_fault_and_costs_no_reading(name: str) -> None:
    data = b"evil==1 --hash=sha256:" + b"a" * 64 + b"\n"
    assert faults({name: data * (50_000_000 // len(data))})


def test_a_link_in_the_place_of_a_lock_is_a_fault() -> None:
    from evoguard.supply.tree import read

    assert read({"requirements.txt": File(b"/etc/passwd", "120000")}, {}).faults[0].why == "no plain file"


def test_more_than_can_be_read_is_no_part_but_a_no() -> None:
    many = {f"d{n}/requirements.txt": "x\n" for n in range(501)}
    found = looked_at({}, many)
    assert (found.status, found.brought, found.base) == ("incomplete", (), None)
    lines = "".join(f"x{n}==1\n" for n in range(20_001))
    assert looked_at({}, {"requirements.txt": lines}).status == "incomplete"
    assert len(lines) < MOST_FILE_BYTES
