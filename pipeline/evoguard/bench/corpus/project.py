"""The base project of the corpus: small, real and right. Every candidate is an edit of it."""

from __future__ import annotations

PYPROJECT = """[project]
name = "depot"
version = "1.4.0"
requires-python = ">=3.11"

[tool.pytest.ini_options]
testpaths = ["tests"]
addopts = "-ra --strict-markers"
markers = ["files: reads or writes files"]
"""
INIT = '''"""Orders, prices and stock of a small depot."""
from depot.errors import DepotError, OutOfStockError, ParseError, PriceError
from depot.parsing import Line, parse_amount, parse_line, read_order, slug
from depot.pricing import average, discounted, shown, split, with_tax
from depot.ranges import days, merge, overlaps, weekdays
from depot.stock import Stock

__all__ = [name for name in dir() if not name.startswith("_")]
'''
ERRORS = '''"""What can go wrong here."""


class DepotError(Exception):
    """Any error of this package."""


class PriceError(DepotError, ValueError):
    """A price that cannot be."""


class ParseError(DepotError, ValueError):
    """A text that is not what it should be."""

    def __init__(self, message, line=0):
        super().__init__(f"line {line}: {message}" if line else message)
        self.line = line


class OutOfStockError(DepotError):
    """More was wanted than is held."""

    def __init__(self, sku, wanted, held):
        super().__init__(f"{wanted} of {sku} wanted, {held} held")
        self.sku, self.wanted, self.held = sku, wanted, held
'''
PRICING = '''"""Prices, in whole cents."""
from depot.errors import PriceError

TAX = {"book": 7, "food": 7, "tool": 19}


def discounted(cents, percent):
    """Return the price after a discount, rounded down."""
    if not 0 <= percent <= 100:
        raise PriceError(f"no such discount: {percent}")
    return cents * (100 - percent) // 100


def with_tax(cents, kind):
    """Return the price with the tax of its kind, rounded to the nearest cent."""
    if kind not in TAX:
        raise PriceError(f"no tax rate for {kind}")
    return cents + (cents * TAX[kind] + 50) // 100


def shown(cents):
    """Return the price as people write it."""
    whole, rest = divmod(abs(cents), 100)
    return f"{'-' if cents < 0 else ''}{whole}.{rest:02d}"


def split(cents, parts):
    """Return shares that differ by a cent at most and add up to the price."""
    if parts < 1:
        raise PriceError("nobody pays")
    share, left = divmod(cents, parts)
    return [share + 1] * left + [share] * (parts - left)


def average(cents):
    """Return the mean of some prices."""
    return sum(cents) / len(cents)
'''
PARSING = '''"""Orders as text: one `sku x count @ price` a line."""
import re
from dataclasses import dataclass

from depot.errors import ParseError

LINE = re.compile(r"(?P<sku>[a-z][a-z-]*) x (?P<count>[0-9]+) @ (?P<price>[0-9.]+)")


@dataclass(frozen=True)
class Line:
    """One line of an order."""

    sku: str
    count: int
    cents: int

    @property
    def total(self):
        """Return what the line costs."""
        return self.count * self.cents


def parse_amount(text):
    """Return an amount such as 12.50 in cents."""
    found = re.fullmatch(r"([0-9]+)(?:[.]([0-9]{2}))?", text.strip())
    if found is None:
        raise ParseError(f"no amount: {text}")
    return int(found[1]) * 100 + int(found[2] or 0)


def parse_line(text, number=0):
    """Return the line that a text says."""
    found = LINE.fullmatch(text.strip())
    if found is None:
        raise ParseError(f"no order line: {text}", number)
    return Line(found["sku"], int(found["count"]), parse_amount(found["price"]))


def read_order(path):
    """Return the lines of a file; what follows a # is a remark."""
    found = []
    with open(path, encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            text = text.partition("#")[0].strip()
            if text:
                found.append(parse_line(text, number))
    return found


def slug(text):
    """Return a name that is safe in an address."""
    return "-".join(re.findall(r"[a-z0-9]+", text.lower()))
'''
RANGES = '''"""Spans of days; both ends belong to a span."""
from datetime import timedelta


def days(first, last):
    """Return how many days a span has."""
    if last < first:
        raise ValueError("a span that ends before it begins")
    return (last - first).days + 1


def overlaps(one, other):
    """Tell whether two spans share a day."""
    return one[0] <= other[1] and other[0] <= one[1]


def merge(spans):
    """Return the same days in as few spans as possible, in order."""
    done = []
    for first, last in sorted(spans):
        if done and first <= done[-1][1] + timedelta(days=1):
            done[-1] = (done[-1][0], max(done[-1][1], last))
        else:
            done.append((first, last))
    return done


def weekdays(first, last):
    """Return how many days of a span are not at the weekend."""
    return sum((first + timedelta(days=n)).weekday() < 5 for n in range(days(first, last)))
'''
STOCK = '''"""What the depot holds."""
from depot.errors import OutOfStockError


class Stock:
    """Counts by sku, and the moves that led to them."""

    def __init__(self, counts=None):
        self._counts = dict(counts or {})
        self.moves = []

    def __len__(self):
        return sum(1 for count in self._counts.values() if count)

    def __contains__(self, sku):
        return self.count(sku) > 0

    def count(self, sku):
        """Return how many are held."""
        return self._counts.get(sku, 0)

    def add(self, sku, count):
        """Put some in."""
        if count < 1:
            raise ValueError("nothing was added")
        self._counts[sku] = self.count(sku) + count
        self.moves.append((sku, count))

    def take(self, sku, count):
        """Take some out and return how many are left."""
        held = self.count(sku)
        if count > held:
            raise OutOfStockError(sku, count, held)
        self._counts[sku] = held - count
        self.moves.append((sku, -count))
        return self._counts[sku]

    def value(self, prices):
        """Return what all of it is worth."""
        return sum(count * prices[sku] for sku, count in self._counts.items())
'''
CLI = '''"""The command: `depot FILE` prints what an order costs."""
import sys

from depot.errors import DepotError
from depot.parsing import read_order
from depot.pricing import shown


def main(argv=None):
    """Print the total of an order file and return an exit status."""
    args = sys.argv[1:] if argv is None else argv
    if len(args) != 1:
        print("usage: depot FILE", file=sys.stderr)
        return 2
    try:
        total = sum(line.total for line in read_order(args[0]))
    except DepotError as err:
        print(f"depot: {err}", file=sys.stderr)
        return 1
    print(f"total {shown(total)}")
    return 0
'''
SOURCES = {
    "pyproject.toml": PYPROJECT,
    "requirements.txt": "# the standard library is enough\n",
    "src/depot/__init__.py": INIT,
    "src/depot/errors.py": ERRORS,
    "src/depot/pricing.py": PRICING,
    "src/depot/parsing.py": PARSING,
    "src/depot/ranges.py": RANGES,
    "src/depot/stock.py": STOCK,
    "src/depot/cli.py": CLI,
}
