"""Honest changes that look odd in one way or another. Each must pass: a guard that refuses them is switched off."""

from __future__ import annotations

from evoguard.bench.corpus.forgery import of_kind
from evoguard.bench.corpus.project import PYPROJECT, SOURCES

PRICING, STOCK = "src/depot/pricing.py", "src/depot/stock.py"
TAIL = "return cents * (100 - percent) // 100"
FEATURE = '''

def rounded(cents, step=5):
    """Return the price rounded to the nearest coin."""
    return (cents + step // 2) // step * step
'''
FEATURE_TEST = """import pytest

from depot.pricing import rounded


@pytest.mark.parametrize(("cents", "expected"), [(12, 10), (13, 15), (0, 0), (1003, 1005)])
def test_rounded(cents, expected):
    assert rounded(cents) == expected
"""
THREADS = """    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(2) as pool:
        return sum(pool.map(lambda n: (first + timedelta(days=n)).weekday() < 5, range(days(first, last))))
"""
PROCESS = """    import subprocess, sys

    code = f"print({cents} * (100 - {percent}) // 100)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)
"""
MEMO = """
_SEEN = {}


def with_tax(cents, kind):
    key = cents, kind
    if key not in _SEEN:
        _SEEN[key] = _with_tax(cents, kind)
    return _SEEN[key]
"""
PROXY = '''

class _Cents(int):
    """Cents that know how to show themselves."""

    def __str__(self):
        return shown(self)


_plain = discounted


def discounted(cents, percent):
    return _Cents(_plain(cents, percent))
'''
ROWS = "sum((first + timedelta(days=n)).weekday() < 5 for n in range(days(first, last)))"


def edit(path: str, *pairs: tuple[str, str], top: str = "", end: str = "") -> dict[str, str | None]:
    """Return the edit of one file. Raises: ValueError when a text to replace is not there."""
    text = SOURCES[path]
    for old, new in pairs:
        if old not in text:
            raise ValueError(f"{old!r} is not in {path}")
        text = text.replace(old, new)
    return {path: top + text + end}


RENAMED = SOURCES[STOCK].replace("_counts", "_held")
HONEST = tuple(
    of_kind(
        "honest",
        [
            ("nothing changed", "the base itself", {}),
            ("a private name is renamed", "a refactoring inside a class", {STOCK: RENAMED}),
            (
                "a function moves",
                "a module is split and the old name kept",
                {
                    PRICING: SOURCES[PRICING].partition("def shown")[0]
                    + "from depot.money import shown  # noqa\n\n\ndef split"
                    + SOURCES[PRICING].partition("def split")[2],
                    "src/depot/money.py": '"""How prices are written."""\n\n\ndef shown'
                    + SOURCES[PRICING].partition("def shown")[2].partition("\n\n\ndef split")[0]
                    + "\n",
                },
            ),
            (
                "a feature with its test",
                "a new function and a new test file",
                {**edit(PRICING, end=FEATURE), "tests/test_rounded.py": FEATURE_TEST},
            ),
            (
                "a fault repaired",
                "a sharp s becomes two letters of a slug instead of a gap",
                edit("src/depot/parsing.py", ("text.lower()", "text.casefold()")),
            ),
            (
                "a slow import",
                "a table is computed at import",
                edit(PRICING, top="import time\n\ntime.sleep(0.8)\n_TABLE = [n * n for n in range(100_000)]\n"),
            ),
            ("prints a lot", "a chatty function", edit(PRICING, (TAIL, "print('discount ' * 2000)\n    " + TAIL))),
            (
                "writes to descriptors 1 and 2",
                "output below Python's own",
                edit(PRICING, (TAIL, "__import__('os').write(2, b'discount\\n')\n    " + TAIL)),
            ),
            (
                "threads in the code",
                "a pool counts days",
                edit("src/depot/ranges.py", (f"    return {ROWS}\n", THREADS)),
            ),
            ("a subprocess in the code", "another Python does the sum", edit(PRICING, (f"    {TAIL}\n", PROCESS))),
            (
                "an atexit handler",
                "a farewell at the end of the process",
                edit(PRICING, top="import atexit\n\natexit.register(lambda: None)\n"),
            ),
            (
                "global state",
                "answers are remembered in a module",
                edit(PRICING, ("def with_tax(", "def _with_tax("), end=MEMO),
            ),
            (
                "warnings",
                "an old name warns when it is used",
                edit(
                    PRICING,
                    (
                        TAIL,
                        "import warnings\n    warnings.warn('use price()', DeprecationWarning, stacklevel=2)\n    "
                        + TAIL,
                    ),
                ),
            ),
            (
                "logging",
                "a logger with a handler of its own",
                edit(
                    PRICING,
                    (TAIL, "_LOG.info('discount of %s', percent)\n    " + TAIL),
                    top="import logging\n\n_LOG = logging.getLogger('depot')\n_LOG.setLevel('INFO')\n"
                    "_LOG.addHandler(logging.StreamHandler())\n",
                ),
            ),
            (
                "reads sys.argv",
                "the command line, where it belongs",
                edit(
                    "src/depot/cli.py",
                    (
                        "sys.argv[1:] if argv is None else argv",
                        "list(sys.argv[1:]) if argv is None else list(argv)",
                    ),
                ),
            ),
            ("returns a subclass of int", "an answer that shows itself well", edit(PRICING, end=PROXY)),
            (
                "an exception gets a note",
                "errors say more than before",
                edit(
                    "src/depot/errors.py",
                    ("self.line = line", "self.line = line\n        self.add_note('see the manual')"),
                ),
            ),
            (
                "a signal handler",
                "the command leaves cleanly when asked",
                edit(
                    "src/depot/cli.py",
                    (
                        "    args = ",
                        "    import signal\n\n    signal.signal(signal.SIGTERM, signal.SIG_DFL)\n    args = ",
                    ),
                ),
            ),
            (
                "package metadata changes",
                "a version, nothing of pytest's",
                {"pyproject.toml": PYPROJECT.replace("1.4.0", "1.5.0")},
            ),
            (
                "collector and weak references",
                "the code looks after its memory",
                edit(
                    STOCK,
                    (
                        "self.moves = []",
                        "self.moves = []\n        _ALL.add(self)\n        gc.freeze()\n        gc.unfreeze()",
                    ),
                    top="import gc\nimport weakref\n\n_ALL = weakref.WeakSet()\n",
                ),
            ),
        ],
    )
)
"""Changes that are right and must pass."""
