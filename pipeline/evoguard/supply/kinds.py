"""Which files of a tree name dependencies, and who reads each; by name, and for odd names by what stands in them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial

from evoguard.supply import cargo, golang, images, npm, requirements, tomls, workflows, yarn
from evoguard.supply.types import Fault, Read

Reader = Callable[[str, bytes], Read]
_REQUIREMENTS = re.compile(r"(.*[-_.])?(requirements?|constraints?|reqs|pip-deps)([-_.].*)?\.(txt|in|lock|pip)\Z")
_FOLDERS = frozenset({"requirements", "requirement", "constraints", "reqs"})
_DOCKER = re.compile(r"(dockerfile|containerfile)(\..*)?\Z|.*\.(dockerfile|containerfile)\Z")
_COMPOSE = re.compile(r"(docker-)?compose([-.].*)?\.ya?ml\Z")
_NAMED: dict[str, Reader] = {
    "package.json": npm.manifest, "package-lock.json": npm.lock, "npm-shrinkwrap.json": npm.lock,
    "pyproject.toml": tomls.pyproject, "uv.lock": tomls.lock, "poetry.lock": tomls.lock, "pylock.toml": tomls.lock,
    "go.mod": golang.mod, "go.sum": golang.sums, "action.yml": workflows.read, "action.yaml": workflows.read,
    "cargo.toml": cargo.manifest, "cargo.lock": cargo.lock, "yarn.lock": yarn.yarn, "pnpm-lock.yaml": yarn.pnpm,
}  # fmt: skip
_UNREAD = frozenset(
    {
        "pipfile", "pipfile.lock", "pdm.lock", "bun.lock", "bun.lockb", "gemfile", "gemfile.lock",
        "composer.json", "composer.lock", "pom.xml", "build.gradle",
        "build.gradle.kts", "environment.yml", "environment.yaml", "conda-lock.yml", "go.work", "mix.lock", "deno.lock",
    }
)  # fmt: skip
_CODE = re.compile(rb"install_requires|setup_requires|extras_require|dependency_links")
LOCKS = frozenset({"requirements.lock", "uv.lock", "poetry.lock", "pylock.toml", "package-lock.json",
                   "npm-shrinkwrap.json", "go.sum", "cargo.lock", "yarn.lock", "pnpm-lock.yaml"})  # fmt: skip


def reader_of(path: str, data: bytes) -> Reader | None:
    """Return who reads a file, or None when it names no dependencies."""
    folders, _, name = path.lower().rpartition("/")
    if name in _NAMED or name in _UNREAD:
        return _NAMED.get(name, _unsupported)
    if _REQUIREMENTS.match(name) or (folders.rpartition("/")[2] in _FOLDERS and name.endswith((".txt", ".in", ".pip"))):
        return partial(requirements.read, locked=name.endswith(".lock") or b"--hash=" in data)
    if _DOCKER.match(name):
        return images.read
    if _COMPOSE.match(name) or (folders.endswith(".github/workflows") and name.endswith((".yml", ".yaml"))):
        return workflows.read
    if name in ("setup.py", "setup.cfg"):
        return _code if _CODE.search(data) else None
    return _odd(name, data)


def _odd(name: str, data: bytes) -> Reader | None:
    """Return the reader of a lock or requirements file that goes by another name."""
    ending = name.rpartition(".")[2] if "." in name else ""
    if ending == "json" and re.search(rb'"lockfileVersion"\s*:', data[:4_096]):
        return npm.lock
    if ending in ("", "txt", "in", "lock", "pip", "cfg", "list", "reqs"):
        return partial(requirements.read, locked=b"--hash=" in data) if requirements.looks_like_one(data) else None
    return None


def as_requirements(path: str, data: bytes) -> Read:
    """Read a file that another requirements file names, whatever it is called."""
    return requirements.read(path, data, locked=b"--hash=" in data)


def _unsupported(path: str, data: bytes) -> Read:
    return Read(faults=(Fault(path, f"nobody here reads this kind of file ({len(data)} bytes)", kind="unsupported"),))


def _code(path: str, data: bytes) -> Read:
    del data
    return Read(faults=(Fault(path, "dependencies that only build code knows", kind="unsupported"),))
