"""What is written in the place of an assertion's part, so that an honest program fails it.

A known value is moved by a random offset: an object that is equal to everything survives `==` turned into `!=`, and an
off-by-one answer meets an off-by-one mutant; neither foresees a random value. Nothing written here has a line break.
"""

from __future__ import annotations

import ast
import io
import math
import re
import string
import tokenize
import warnings
from bisect import bisect_left
from random import Random

from evoguard_sandbox.judging.mutant_alike import Alike

Position = tuple[int, int]  # a line from 1, a column in bytes of UTF-8 from 0, as `ast` gives them

LINE_BREAK = re.compile(rb"\r\n|\r|\n")
UNREADABLE = (SyntaxError, ValueError, LookupError, RecursionError, MemoryError)
FORBIDDEN_ERROR = "BufferError"
INVERSE = {
    "assertTrue": "assertFalse",
    "assertIs": "assertIsNot",
    "assertIsNone": "assertIsNotNone",
    "assertIn": "assertNotIn",
    "assertIsInstance": "assertNotIsInstance",
    "assertRegex": "assertNotRegex",
    "assertLess": "assertGreaterEqual",
    "assertGreater": "assertLessEqual",
    "assertEqual": "assertNotEqual",
    "assertAlmostEqual": "assertNotAlmostEqual",
}
INVERSE |= {there: here for here, there in INVERSE.items()}
# The inner brackets keep a `yield`, a lambda or a comment's line from reaching into what is added.
AROUND = {
    "negated": "(not ({}))",
    "wrapped": "(({}), {number})",
    "list": "[*({}), {number}]",
    "tuple": "(*({}), {number})",
    "set": "{{*({}), {number}}}",
    "dict": "{{**({}), {number}: {number}}}",
    "words": '(({}) + "{letters}")',
}
MOCK = '__import__("unittest.mock").mock.'
# What the same check of a mock must refuse: one that nobody called, or awaited, or one that somebody did call.
OTHERS = {
    "uncalled": f"{MOCK}Mock()",
    "unawaited": f"{MOCK}AsyncMock()",
    "called": f"(lambda mock: (mock(), mock)[1])({MOCK}Mock())",
}


class Layout:
    """A source file as the parser counts it. Raises: one of UNREADABLE when it is not the text that it claims to be."""

    def __init__(self, source: bytes) -> None:
        self.encoding, _ = tokenize.detect_encoding(io.BytesIO(source).readline)
        text = source.decode(self.encoding)
        if text.encode(self.encoding) != source:
            raise ValueError("the file's encoding does not lead back to its bytes")
        self.data = text.encode()
        self.starts = [0, *(found.end() for found in LINE_BREAK.finditer(self.data))]

    def offset(self, position: Position) -> int:
        """Return where a position is in `data`. Raises: ValueError when the file does not reach so far."""
        line, column = position
        if not 0 < line <= len(self.starts) or not 0 <= column <= len(self.data) - self.starts[line - 1]:
            raise ValueError("a position outside of the file")
        return self.starts[line - 1] + column

    def position(self, offset: int) -> Position:
        """Return the position of an offset in `data`."""
        line = bisect_left(self.starts, offset + 1)
        return line, offset - self.starts[line - 1]

    def cut(self, start: Position, end: Position) -> str:
        """Return the text from `start` to `end`. Raises: ValueError when there is none."""
        return self.data[self.offset(start) : self.offset(end)].decode()

    def replaced(self, spans: list[tuple[Position, Position, str]]) -> bytes:
        """Return the file with each span, in order, replaced. Raises: ValueError when they overlap or do not encode."""
        parts, at = [], 0
        for start, end, new in spans:
            first, last = self.offset(start), self.offset(end)
            if not at <= first <= last:
                raise ValueError("two spans overlap")
            parts += [self.data[at:first], _apart(self.data, first, last, new)]
            at = last
        return b"".join([*parts, self.data[at:]]).decode().encode(self.encoding)


def _apart(data: bytes, first: int, last: int, new: str) -> bytes:
    """Return `new` with a space where it would grow together with a word: `assert-1 == x` must not say `assert7`."""
    word = re.compile(rb"[\w\x80-\xff]")
    text = new.encode()
    before = b" " if word.match(data[first - 1 : first]) and word.match(text[:1]) else b""
    after = b" " if word.match(data[last : last + 1]) and word.match(text[-1:]) else b""
    return before + text + after


def parsed(source: bytes) -> ast.Module:
    """Return the file's tree. Raises: one of UNREADABLE."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


def expression(text: str) -> ast.expr:
    """Return the tree of one expression, whose first line is shifted by one. Raises: one of UNREADABLE."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(f"({text})", mode="eval").body


def literal_kind(node: ast.expr) -> str:
    """Return how the value of `node` can be moved, or "" when the text does not say what it is."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        return "number" if literal_kind(node.operand) == "number" else ""
    if isinstance(node, ast.Constant):
        return {bool: "flag", int: "number", float: "number", str: "text", bytes: "bytes"}.get(type(node.value), "")
    if isinstance(node, ast.JoinedStr):
        return "text"
    return "display" if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict) else ""


def rewritten(kind: str, text: str, random: Random, alike: Alike | None = None) -> str:
    """Return what stands in the place of `text`; with `alike` in a form that does not tell, where there is one.

    Raises: KeyError for a kind or a name that is unknown.
    """
    like = alike.rewritten(kind, text) if alike is not None else None
    if like is not None:
        return like
    if kind in OTHERS:
        return OTHERS[kind]
    if kind in AROUND:
        return AROUND[kind].format(text, number=_large(random), letters=_letters(random))
    if kind in ("text", "bytes"):
        return f'{text} {"b" if kind == "bytes" else ""}"{_letters(random)}"'
    return {
        "above": lambda: f"{10**60 + _large(random)}",
        "below": lambda: f"-{10**60 + _large(random)}",
        "number": lambda: _moved(text, random, scaled=False),
        "scaled": lambda: _moved(text, random, scaled=True),
        "flag": lambda: str(text != "True"),
        "display": lambda: _display(text, random, alike),
        "raises": lambda: FORBIDDEN_ERROR,
        "renamed": lambda: INVERSE[text],
    }[kind]()


def _large(random: Random) -> int:
    return random.randrange(10**6, 10**9)


def _letters(random: Random) -> str:
    return "".join(random.choices(string.ascii_lowercase, k=random.randint(8, 12)))


def _moved(text: str, random: Random, *, scaled: bool) -> str:
    """Return a number that is off by 2 or more; a float, or one that is compared with a tolerance, by its own size."""
    by = random.choice((-1, 1)) * random.randint(2, 999)
    try:
        value = ast.literal_eval(text)
        new = value + by * max(1, abs(value)) if scaled or isinstance(value, float) else value + by
        if math.isfinite(new) and abs(new - value) > 1:
            return repr(new)
    except (SyntaxError, ValueError, OverflowError):
        pass  # too large to be written, or written over several lines
    return rewritten("wrapped", text, random)


def _display(text: str, random: Random, alike: Alike | None) -> str:
    """Return a list, tuple, set or dict with one known value in it changed, or with one more in front."""
    node = expression(text)
    leaves = [
        leaf for leaf in ast.walk(node) if isinstance(leaf, ast.expr) and literal_kind(leaf) not in ("", "display")
    ]
    known = _value(text)
    if known is not None and leaves and random.random() < (0.5 if alike is None else 0.9):
        leaf = random.choice(leaves)
        new = _with_changed(text, leaf, random, alike)
        if _value(new) not in (None, known):  # in {1: 2, 1: 3} the first value says nothing
            return new
    like = _with_more(text, node, alike.whole("10")) if alike is not None else None
    if like is not None and (known is None or _value(like) != known):  # a key or an element may be there already
        return like
    return _with_more(text, node, str(_large(random)))


def _with_more(text: str, node: ast.expr, number: str) -> str:
    if isinstance(node, ast.Dict):
        return f"{text[0]}{number}: {number}{', ' if node.values else ''}{text[1:]}"
    empty = isinstance(node, ast.List | ast.Tuple | ast.Set) and not node.elts
    comma = ", " if not empty else "," if isinstance(node, ast.Tuple) else ""
    return f"{text[0]}{number}{comma}{text[1:]}"


def _with_changed(text: str, leaf: ast.expr, random: Random, alike: Alike | None) -> str:
    layout = Layout(f"({text})".encode())
    start, end = span(leaf)
    new = rewritten(literal_kind(leaf), layout.cut(start, end), random, alike)
    return layout.replaced([(start, end, new)]).decode()[1:-1]


def _value(text: str) -> object:
    try:
        return ast.literal_eval(f"({text})")
    except (*UNREADABLE, TypeError):
        return None


def span(node: ast.expr) -> tuple[Position, Position]:
    """Return where an expression starts and ends."""
    return (node.lineno, node.col_offset), (node.end_lineno or node.lineno, node.end_col_offset or node.col_offset)
