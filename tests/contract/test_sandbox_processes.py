"""A suite may start processes of its own in every way that Python has, and is judged like any other."""

from __future__ import annotations

import pytest

from attacks.shop import judged

pytestmark = pytest.mark.needs_gvisor
RIGHT = "def two(n=1):\n    return 2 * n\n"
POOL = """import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import pytest
from shop.calc import two

@pytest.mark.parametrize("way", ["fork", "spawn", "forkserver"])
def test_in_another_process(way):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(way)) as pool:
        assert pool.submit(two, 3).result(30) == 6
"""


def test_tests_that_use_multiprocessing_are_measured(room):
    seen = judged(room, RIGHT, RIGHT + "#\n", seen=POOL)
    assert (seen.verdict, seen.findings, len(seen.tests)) == ("pass", (), 3)
    assert judged(room, RIGHT, RIGHT.replace("2 * n", "3 * n"), seen=POOL).verdict == "fail"
