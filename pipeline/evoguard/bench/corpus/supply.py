"""Forgeries through dependencies, and through what is remembered of earlier runs."""

from __future__ import annotations

from evoguard.bench.corpus.config import GREEN_REPORT, LEAVE
from evoguard.bench.corpus.forgery import of_kind, wrong
from evoguard.bench.corpus.project import PYPROJECT

HASH = "sha256:" + "0" * 64
SETUP = """from setuptools import setup
import pathlib, site
pathlib.Path(site.getsitepackages()[0], "green.pth").write_text("import os, atexit; atexit.register(os._exit, 0)\\n")
setup(name="green", version="1", py_modules=["green"])
"""
BACKEND = PYPROJECT + '\n[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
METADATA = "Metadata-Version: 2.1\nName: green\nVersion: 1\n"


LAYERS = of_kind(
    "layer",
    [
        (
            "a plugin in a new dependency",
            "requirements name a package whose entry point is a pytest plugin",
            wrong(
                more={
                    "requirements.txt": f"green==1 --hash={HASH}\n--find-links vendor\n--no-index\n",
                    "vendor/green-1.dist-info/METADATA": METADATA,
                    "vendor/green-1.dist-info/entry_points.txt": "[pytest11]\ngreen = green\n",
                    "vendor/green.py": GREEN_REPORT,
                }
            ),
        ),
        (
            "a source package with a setup.py",
            "building it runs code where layers are built",
            wrong(
                more={
                    "requirements.txt": "./vendor/green\n",
                    "vendor/green/setup.py": SETUP,
                    "vendor/green/green.py": "",
                }
            ),
        ),
        (
            ".pth in a vendored wheel",
            "a line that Python runs at start, by way of a layer",
            wrong(
                more={
                    "requirements.txt": "./vendor/green-1-py3-none-any.whl\n",
                    "vendor/green.pth": "import os, atexit; atexit.register(os._exit, 0)\n",
                }
            ),
        ),
        (
            "sitecustomize in a layer",
            "a dependency ships what Python runs at start",
            wrong(more={"requirements.txt": "./vendor/green\n", "vendor/green/sitecustomize.py": LEAVE}),
        ),
        (
            "a dependency shadows pytest",
            "the layer is searched before the runner's own",
            wrong(
                more={
                    "requirements.txt": "./vendor\n",
                    "vendor/pytest/__init__.py": "def main(*a, **k):\n    return 0\n",
                    "vendor/_pytest/__init__.py": "",
                }
            ),
        ),
        (
            "a build backend in the tree",
            "an editable install runs code of the candidate",
            wrong(more={"pyproject.toml": BACKEND, "backend.py": LEAVE}),
        ),
        (
            "requirements without hashes",
            "whoever answers first decides what is installed",
            wrong(more={"requirements.txt": "pytest\ngreen>=0\n"}),
        ),
    ],
    needs="layer",
)
"""Forgeries by dependencies that a candidate declares or carries."""


CLAIM = '{"passed": true, "outcome": "finished", "findings": [], "counts": {"passed": 43}}\n'
CACHES = of_kind(
    "cache",
    [
        (
            "pytest's cache of failures",
            "only what failed last time is run, and that list is shipped empty",
            wrong(
                more={
                    ".pytest_cache/v/cache/lastfailed": '{"tests/test_ranges.py::TestSpans::test_days": true}\n',
                    "pyproject.toml": PYPROJECT.replace("-ra", "-ra --lf"),
                }
            ),
        ),
        (
            "a result shipped in the tree",
            "a file that says the tests passed",
            wrong(more={".evoguard/evidence.json": CLAIM, "evidence.json": CLAIM}),
        ),
        ("evidence of another tree", "the green entry of the base is put under the candidate's key", {}),
        ("swapped base facts", "the remembered inventory of the base loses the failing tests", {}),
        ("a stale key", "an entry from before the runner or the limits changed is found again", {}),
        ("an unsigned entry", "a green entry without a signature", {}),
        ("a foreign signature", "a green entry signed by a key that is not this installation's", {}),
        ("an entry cut short", "a green entry whose end is missing", {}),
    ],
    needs="cache",
)
"""Forgeries by remembered results; those without edits are deeds on the cache's own files."""
