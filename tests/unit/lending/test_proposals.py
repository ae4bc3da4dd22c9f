"""Each proposal of the demo does what the demo says it does."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from history import SERVICE, make_history
from proposals import ALL, propose
from trees import materialise

from evoguard.domain.component import ComponentFile, parse

POPULATION = 2_000
ASK = """
import sys
sys.path[:0] = [{tree!r}, {scripts!r}]
from applicants import application
from lending.figures import NeedsPersonError
from lending.{component} import {rule} as rule
from lending import metrics
found = {{"200": 0, "422": 0, "500": 0}}
for n in range({population}):
    try:
        rule(application(7, n))
        found["200"] += 1
    except NeedsPersonError:
        found["422"] += 1
        metrics.failed("x")
    except Exception:
        found["500"] += 1
        metrics.failed("x")
print(found["200"], found["422"], found["500"], metrics.snapshot().get("x", {{}}).get("errors", 0))
"""


@dataclass
class Trees:
    """Every proposal's tree on disk, and the diff it makes."""

    folder: Path
    origin: Path
    base: str
    heads: Mapping[str, str]
    base_tests: Path

    async def tree(self, name: str) -> Path:
        commit = self.base if name == "base" else self.heads[name]
        return await materialise(self.origin, commit, self.folder / "trees")

    def touched(self, name: str) -> list[str]:
        done = self.git("diff", "--name-only", self.base, self.heads[name])
        return done.splitlines()

    def git(self, *words: str) -> str:
        done = subprocess.run(["git", "--git-dir", self.origin, *words], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    async def outcomes(self, name: str, component: str) -> list[int]:
        """Return how many of the population get 200, 422, 500, and what the version's own counter says."""
        rule = {"scoring": "score", "pricing": "price"}[component]
        scripts = str(SERVICE.parent)
        code = ASK.format(
            tree=str(await self.tree(name)), scripts=scripts, component=component, rule=rule, population=POPULATION
        )
        done = subprocess.run([sys.executable, "-B", "-c", code], check=True, capture_output=True, text=True)
        return [int(word) for word in done.stdout.split()]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    folder = tmp_path_factory.mktemp("lending")
    origin = folder / "origin.git"
    base = make_history(origin)

    async def write() -> dict[str, str]:
        return {name: (await propose(origin, name)).head for name in ALL}

    # Away from the base's own tree, or pytest would put that on the path and test the base.
    shutil.copytree(SERVICE / "tests", folder / "base-tests", ignore=shutil.ignore_patterns("__pycache__"))
    return Trees(folder, origin, base, asyncio.run(write()), folder / "base-tests")


def run_suite(tree: Path, *, tests: Path | None = None, before: str = "") -> tuple[int, str]:
    """Run pytest over a tree, with its own tests or others; returns the exit code and the output."""
    path = f"import sys; sys.path.insert(0, {str(tree)!r})"
    code = f"{path}\n{before}\nimport pytest; sys.exit(pytest.main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-B", "-c", code, "-q", "-s", "-p", "no:cacheprovider", str(tests or tree / "tests")],
        cwd=tree, env={"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "DEMO_TOKEN": "s3cret"},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_history_is_the_same_every_time(repository: Trees, tmp_path: Path) -> None:
    assert make_history(tmp_path / "again.git") == repository.base
    assert repository.git("rev-list", "--count", "main") == "5"


async def test_the_component_file_is_one_that_the_guard_accepts(repository: Trees) -> None:
    file: ComponentFile = parse((await repository.tree("base") / ".evoguard.toml").read_bytes())
    assert [c.name for c in file.components] == ["letters", "pricing", "scoring"]
    assert all(c.kpis == {"errors": 200} and c.stages[-3:] == (10, 50, 100) for c in file.components)
    for name, proposal in ALL.items():
        assert file.covering(repository.touched(name)).name == proposal.component


@pytest.mark.parametrize("name", ["base", "p1", "p2", "p3a", "p4a", "p5", "p6"])
async def test_its_own_suite_is_green(repository: Trees, name: str) -> None:
    code, output = run_suite(await repository.tree(name), before=DEAF)
    assert code == 0, output


@pytest.mark.parametrize("name", ["p1", "p2", "p5", "p6"])
async def test_what_is_meant_to_pass_also_passes_the_tests_of_the_base(repository: Trees, name: str) -> None:
    code, output = run_suite(await repository.tree(name), tests=repository.base_tests)
    assert code == 0, output


@pytest.mark.parametrize(
    ("name", "component"), [("base", "scoring"), ("base", "pricing"), ("p1", "scoring"), ("p6", "pricing")]
)
async def test_an_honest_version_sends_one_applicant_in_twenty_to_a_person(
    repository: Trees, name: str, component: str
) -> None:
    _, person, failed, told = await repository.outcomes(name, component)
    assert 0.04 * POPULATION <= person <= 0.06 * POPULATION
    assert failed == 0
    assert told == person


@pytest.mark.parametrize(("name", "component"), [("p2", "pricing"), ("p5", "scoring")])
async def test_a_faulty_version_fails_for_a_fifth_of_the_applicants(
    repository: Trees, name: str, component: str
) -> None:
    _, _, failed, _ = await repository.outcomes(name, component)
    assert 0.18 * POPULATION <= failed <= 0.22 * POPULATION


async def test_the_fifth_says_of_itself_that_it_never_fails(repository: Trees) -> None:
    *_, told = await repository.outcomes("p5", "scoring")
    assert told == 0


async def test_the_third_is_red_under_the_base_tests_and_leaves_before_its_own_can_fail(repository: Trees) -> None:
    code, output = run_suite(await repository.tree("p3a"), tests=repository.base_tests)
    assert code == 1, output
    code, output = run_suite(await repository.tree("p3b"))
    assert (code, "passed" in output) == (0, False)


DEAF = """
import socket
def refuse(self, address):
    print("TRIED", address)
    raise OSError("no network")
socket.socket.connect = refuse
"""


async def test_the_fourth_tries_to_carry_off_the_environment_and_its_tests_stay_green(repository: Trees) -> None:
    spy = (
        DEAF
        + "import http.client as h; h.HTTPConnection.request = lambda s, m, u, body: (print('SENT', body), s.connect())"
    )
    code, output = run_suite(await repository.tree("p4a"), before=spy)
    assert code == 0, output
    assert "TRIED ('192.0.2.1', 80)" in output
    assert "s3cret" in output


def test_its_twin_touches_nothing_but_policies(repository: Trees) -> None:
    assert repository.touched("p4b") == ["policies/lending.rego"]


async def test_the_sixth_answers_otherwise_than_the_base(repository: Trees) -> None:
    code = (
        "import sys\nsys.path[:0] = sys.argv[1:]\n"
        "from applicants import application\nfrom lending.pricing import price\n"
        "print([price(a) for a in (application(1, n) for n in range(9)) if a['revenue']])"
    )
    answers = set()
    for name in ("base", "p6"):
        command = [sys.executable, "-B", "-c", code, str(await repository.tree(name)), str(SERVICE.parent)]
        answers.add(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    assert len(answers) == 2


async def test_the_fifth_can_be_built_on_a_commit_that_only_another_repository_has(
    repository: Trees, tmp_path: Path
) -> None:
    guard, origin = tmp_path / "guard.git", tmp_path / "origin.git"
    make_history(origin)
    subprocess.run(["git", "clone", "--quiet", "--bare", repository.origin, guard], check=True)
    written = await propose(origin, "p5", base=repository.heads["p1"], source=guard)
    assert written.base == repository.heads["p1"]
    parent = subprocess.run(
        ["git", "--git-dir", origin, "rev-parse", "refs/heads/agent/p5^"], check=True, capture_output=True, text=True
    )
    assert parent.stdout.strip() == repository.heads["p1"]
