"""The package that is attacked: a small right service with tests, and honest edits of it. Data only."""

from __future__ import annotations

from collections.abc import Mapping

from evoguard.ports.forge import Blob

FILE = "100644"
PYPROJECT = """[project]
name = "parcels"
version = "2.1.0"
requires-python = ">=3.11"

[tool.pytest.ini_options]
testpaths = ["tests"]
"""
PRICES = '''"""What a parcel costs, in whole cents."""

RATES = {"letter": 90, "parcel": 450, "crate": 2100}
STEP_GRAMS = 500


def fee(kind, grams):
    """Return the fee of one piece: its rate, and a tenth of it for each step of weight."""
    if kind not in RATES:
        raise ValueError(f"no such kind: {kind}")
    if grams <= 0:
        raise ValueError("a piece weighs something")
    rate = RATES[kind]
    cents = rate + rate // 10 * (grams // STEP_GRAMS)
    return cents


def discounted(cents, percent):
    """Return the price after a discount, rounded down."""
    if not 0 <= percent <= 100:
        raise ValueError(f"no such discount: {percent}")
    return cents * (100 - percent) // 100
'''
CODES = '''"""Codes of consignments: digits, the last of which makes their weighted sum a multiple of ten."""


def valid(code):
    """Tell whether a code is one."""
    if len(code) != 6 or not code.isdigit():
        return False
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(code))
    return total % 10 == 0
'''
ACCESS = '''"""Who may ask for a quote."""

import hashlib
import hmac

SALT = b"parcels"


def token_of(user):
    """Return the token of a user."""
    return hmac.new(SALT, user.encode(), hashlib.sha256).hexdigest()[:16]


def allowed(user, token):
    """Tell whether the token is the user's."""
    known = token_of(user)
    return hmac.compare_digest(known, token)
'''
SERVICE = '''"""One request, one answer."""

from parcels.access import allowed
from parcels.codes import valid
from parcels.prices import discounted, fee


def quote(request):
    """Return the answer to a request: a price, or why there is none."""
    if not allowed(request["user"], request["token"]):
        return {"ok": False, "why": "not allowed"}
    if not valid(request["code"]):
        return {"ok": False, "why": "no such code"}
    cents = discounted(fee(request["kind"], request["grams"]), request["percent"])
    answer = {"ok": True, "id": request["id"], "cents": cents}
    return answer
'''
TESTED: tuple[dict[str, object], ...] = tuple(
    {"id": f"r{n}", "user": user, "token": user, "code": code, "kind": kind, "grams": grams, "percent": percent}
    for n, (user, code, kind, grams, percent) in enumerate([
        ("ada", "123451", "letter", 20, 0), ("bob", "000000", "parcel", 1_200, 0),
        ("eve", "111117", "crate", 9_000, 10),
        ("ada", "123451", "parcel", 499, 50), ("bob", "404046", "parcel", 500, 5), ("cyd", "000000", "letter", 1, 100),
        ("cyd", "123456", "crate", 4_321, 0), ("dan", "12345", "letter", 20, 0),
    ])
)  # fmt: skip
"""The calls that the base's tests make; a token that is the user's name stands for the right one."""
TEST_SERVICE = f"""import pytest

from parcels.access import allowed, token_of
from parcels.codes import valid
from parcels.prices import discounted, fee
from parcels.service import quote

CASES = {[dict(case) for case in TESTED]!r}
PRICES = [90, 540, 5292, 225, 470, 0, None, None]


@pytest.mark.parametrize(("case", "cents"), list(zip(CASES, PRICES)))
def test_a_quote(case, cents):
    answer = quote({{**case, "token": token_of(case["user"])}})
    expected = {{"ok": False, "why": "no such code"}} if cents is None else {{
        "ok": True, "id": case["id"], "cents": cents}}
    assert answer == expected


def test_nobody_else_is_answered():
    assert quote({{**CASES[0], "token": "0" * 16}}) == {{"ok": False, "why": "not allowed"}}
    assert not allowed("ada", token_of("bob"))
    assert allowed("ada", token_of("ada"))


@pytest.mark.parametrize(("kind", "grams", "cents"), [
    ("letter", 20, 90), ("parcel", 500, 495), ("crate", 9000, 5880), ("parcel", 1200, 540)])
def test_a_fee(kind, grams, cents):
    assert fee(kind, grams) == cents


@pytest.mark.parametrize(("kind", "grams"), [("barrel", 5), ("letter", 0), ("letter", -3)])
def test_no_fee(kind, grams):
    with pytest.raises(ValueError):
        fee(kind, grams)


@pytest.mark.parametrize(("code", "good"), [
    ("123451", True), ("123456", False), ("000000", True), ("12345", False), ("12345x", False), ("111117", True)])
def test_a_code(code, good):
    assert valid(code) is good


def test_a_discount():
    assert [discounted(1001, percent) for percent in (0, 10, 50, 100)] == [1001, 900, 500, 0]
    with pytest.raises(ValueError):
        discounted(100, 101)
"""
BASE: Mapping[str, str] = {
    "pyproject.toml": PYPROJECT, "README.md": "# parcels\n\nQuotes for parcels.\n", "requirements.txt": "",
    "parcels/__init__.py": '"""Quotes for parcels."""\n', "parcels/prices.py": PRICES, "parcels/codes.py": CODES,
    "parcels/access.py": ACCESS, "parcels/service.py": SERVICE,
    "parcels/settings.json": '{\n  "currency": "EUR"\n}\n', "tests/test_service.py": TEST_SERVICE,
}  # fmt: skip

HONEST_EDITS: tuple[tuple[str, str, str], ...] = (
    ("parcels/prices.py", "    rate = RATES[kind]\n", "    rate = RATES[kind]  # cents of the first step\n"),
    ("parcels/prices.py", "    if grams <= 0:\n", "    if grams < 1:\n"),
    ("parcels/codes.py", '"""Tell whether a code is one."""', '"""Tell whether a code has six digits that fit."""'),
    ("parcels/codes.py", "    return total % 10 == 0\n", "    return not total % 10\n"),
    ("parcels/service.py", '"""One request, one answer."""', '"""One request, one answer: a price, or a reason."""'),
    ("parcels/access.py", '"""Return the token of a user."""', '"""Return the token of a user, 16 hex digits."""'),
    (
        "README.md",
        "Quotes for parcels.\n",
        "Quotes for parcels, in whole cents.\n\nAsk with `parcels.service.quote`.\n",
    ),
)
"""(path, what stands there, what stands there afterwards): none changes what the service does."""
HONEST_TEST = """from parcels.prices import fee


def test_{name}_each_step_adds_a_tenth():
    assert [fee("letter", grams) for grams in (1, 499, 500, 1000)] == [90, 90, 99, 108]
"""


def blobs(tree: Mapping[str, str]) -> dict[str, Blob]:
    """Return a tree as the guard reads it."""
    return {path: Blob(FILE, text.encode()) for path, text in tree.items()}
