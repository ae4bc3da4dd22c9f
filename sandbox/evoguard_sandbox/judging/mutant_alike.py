"""False expected values that look like the true ones: who reads the test cannot tell by their form.

They are made of the words and numbers of the same file, in the shape of what they replace. A word of the file may be
true by chance, so this is for texts that are seen to be false on the base before a candidate meets the very same ones
(`held_out.false_texts`); what is drawn afresh for each candidate is written by `mutant_words`.
"""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Callable
from functools import partial
from random import Random

LITERAL = re.compile(r"([A-Za-z]*)(\"\"\"|'''|\"|')(.*)\2", re.DOTALL)
PART = re.compile(r"(?<![A-Za-z0-9_])[A-Za-z]{2,}|\d+")
DECIMAL = re.compile(r"-?\d+\.(\d+)")
WHOLE = re.compile(r"-?[0-9]+")
ENOUGH_WORDS, CLOSE = 6, 8
OPERATOR = re.compile(r"==|!=|<=|>=|<|>|\bis\s+not\b|\bnot\s+in\b|\bis\b|\bin\b")
OPPOSITE = {"==": "!=", "is": "is not", "in": "not in", "<": ">=", ">": "<="}
OPPOSITE |= {there: here for here, there in OPPOSITE.items()}
ERRORS = ("ValueError", "TypeError", "KeyError", "IndexError", "AttributeError", "RuntimeError", "OSError")
UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)


class Alike:
    """Draws what could stand in one test file. Each method returns None where it has nothing that would pass for it."""

    def __init__(self, tree: ast.Module, random: Random) -> None:
        self.random = random
        constants = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        said = {word for value in constants if isinstance(value, str) for word in re.findall(r"[A-Za-z]{2,12}", value)}
        if len(said) < ENOUGH_WORDS:
            names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
            said |= {word for name in names for word in re.findall(r"[A-Za-z]{2,12}", name)}
        self.words = sorted(said)
        self.numbers = sorted({value for value in constants if type(value) is int and abs(value) > 1})

    def rewritten(self, kind: str, text: str) -> str | None:
        """Return what stands in the place of `text`, on as many lines; None where only another form will do."""
        ways: dict[str, Callable[[str], str | None]] = {
            "text": self.text, "bytes": self.text, "number": self.number, "scaled": self.number,
            "negated": self.negated, "wrapped": self.other, "raises": self.error,
            "above": partial(self.beyond, way=1), "below": partial(self.beyond, way=-1),
        }  # fmt: skip
        try:
            new = ways[kind](text) if kind in ways else None
        except UNREADABLE:
            return None
        return new if new is not None and new.count("\n") == text.count("\n") else None

    def word(self, like: str) -> str:
        """Return another word of the file, in capitals where `like` is."""
        others = [word for word in self.words if word.lower() != like.lower()]
        drawn = self.random.choice(others) if others else "".join(self.random.choices(string.ascii_lowercase, k=5))
        return drawn.upper() if like.isupper() else drawn.capitalize() if like[:1].isupper() else drawn.lower()

    def digits(self, like: str) -> str:
        """Return other digits, as many, off by two or more; no zero comes first where none was."""
        least = 0 if like[0] == "0" else 10 ** (len(like) - 1)
        for _ in range(20):
            new = self.random.randrange(least, 10 ** len(like))
            if abs(new - int(like)) > 1:
                return f"{new:0{len(like)}}"
        return f"7{like}"

    def text(self, text: str) -> str | None:
        """Return the literal with one of its words or numbers changed, or with one more at its end."""
        found = LITERAL.fullmatch(text)
        plain = found is not None and found[2] not in found[3] and "f" not in found[1].lower() and "\\" not in found[3]
        parts = list(PART.finditer(found[3])) if found is not None and plain else []
        if found is not None and parts:
            part = self.random.choice(parts)
            other = self.digits(part[0]) if part[0].isdigit() else self.word(part[0])
            first = found.start(3)
            new = f"{text[: first + part.start()]}{other}{text[first + part.end() :]}"
        else:
            quote = '"""' if text.endswith('"""') else "'''" if text.endswith("'''") else text[-1:]
            joint = self.random.choice(sorted({*" _-./"} & {*text}) or [""])
            new = f"{text[: -len(quote)]}{joint}{self.word('a')}{quote}"
        was, now = (ast.parse(f"({one})", mode="eval").body for one in (text, new))
        return new if type(was) is type(now) and ast.dump(was) != ast.dump(now) else None

    def number(self, text: str) -> str | None:
        """Return another number of the same sign: one that the file has elsewhere, a close one, or as many digits."""
        decimals = DECIMAL.fullmatch(text)
        if decimals:
            by = self.random.choice((self.random.uniform(0.3, 0.7), self.random.uniform(1.4, 3)))
            new = f"{float(text) * by:.{len(decimals[1])}f}"
            return new if abs(float(new) - float(text)) > abs(float(text)) / 10 else None
        return self.whole(text) if WHOLE.fullmatch(text) else None

    def whole(self, text: str) -> str:
        """Return another whole number."""
        value = int(text)
        known = [n for n in self.numbers if (n < 0) == (value < 0) and abs(n - value) > 1]
        way = self.random.randrange(4)
        if way == 0 and known:
            return str(self.random.choice(known))
        if way > 1 and abs(value) > CLOSE:  # code whose own answer is nearly right may take the text's for its own
            return str(value + self.random.choice((-1, 1)) * self.random.randint(2, abs(value) // CLOSE + 2))
        return f"{'-' if value < 0 else ''}{self.digits(text.lstrip('-'))}"

    def beyond(self, text: str, way: int) -> str | None:
        """Return a bound on the other side of what is likely to be asked of it."""
        if not WHOLE.fullmatch(text):
            return None
        value = int(text)
        new = value + way * (abs(value) + 1) * self.random.randint(3, 40)
        return str(0 if way < 0 < value and self.random.random() < 0.5 else new)

    def negated(self, text: str) -> str:
        """Return the expression turned round, as one would write it."""
        if "\n" in text or "#" in text or not text.isascii():  # positions below are those of one plain line
            return f"not ({text})"
        node = ast.parse(text, mode="eval").body
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return text[node.operand.col_offset : node.operand.end_col_offset]
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            first, last = node.left.end_col_offset or 0, node.comparators[0].col_offset
            turned = OPERATOR.sub(lambda found: OPPOSITE[" ".join(found[0].split())], text[first:last])
            return text[:first] + turned + text[last:]
        bare = isinstance(node, ast.Name | ast.Attribute | ast.Call | ast.Subscript)
        return f"not {text}" if bare else f"not ({text})"

    def other(self, text: str) -> str | None:
        """Return a value of the file in the place of an expression."""
        if "\n" in text:
            return None
        if self.numbers and self.random.random() < 0.5:
            return str(self.random.choice(self.numbers))
        return repr(self.word("a"))

    def error(self, text: str) -> str | None:
        """Return another usual error in the place of the one that is expected."""
        others = [name for name in ERRORS if name not in text]
        return self.random.choice(others) if others else None
