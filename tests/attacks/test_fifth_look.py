"""Objects of the code's that hide in a value's own methods, in errors, in a test's own list, behind another's iterator.

Each module is wrong, each is told what the test expects or answers it as it likes; and honest ones beside them pass.
"""

from __future__ import annotations

import pytest

from attacks.shop import judged, judged_unseen
from evoguard_sandbox import Room

pytestmark = pytest.mark.needs_gvisor
EVIL = """
class Evil:
    def isupper(self): return True
    def islower(self): return True
    def isalnum(self): return True
    def find(self, text): return 0
"""
TOKEN = """
import secrets
def token(): return secrets.token_hex(16)
"""
TOKENS = """
from shop.calc import token
def test_unique(): assert len({token() for _ in range(100)}) == 100
def test_len(): assert len(token()) == 32
"""
PARTS = """
def split(total, n):
    each, over = divmod(total, n)
    return tuple(each + (at < over) for at in range(n))
"""
SUMS = """
from shop.calc import split
def test_split():
    parts = split(10, 3)
    assert len(parts) == 3
    assert sum(parts) == 10
    assert max(parts) - min(parts) <= 1
"""
WORDS = """
class Item:
    def __init__(self, n): self.n = n
def items(n):
    for i in range(n): yield Item(i)
def words(text):
    for word in text.split(): yield word.upper()
def check(n):
    if n < 0: raise ValueError(f"NEGATIVE {n}")
    return n
"""
SAID = """
import pytest
from shop.calc import check, items, words
def test_items(): assert [i.n for i in items(2)] == [0, 1]
def test_words(): assert [w.isupper() for w in words("a b")] == [True, True]
def test_check():
    with pytest.raises(ValueError) as caught: check(-1)
    assert caught.value.args[0].isupper()
"""
FILL = """
def fill(out, n): out.append(("ab12" * n)[:n])
"""
FILLED = """
from shop.calc import fill
def test_fill():
    out = []
    fill(out, 8)
    assert len(out) == 1
    assert out[0].isalnum()
    assert out[0].islower()
"""
CART = """
class Item:
    def __init__(self, name): self.name = name
class Cart:
    def __init__(self): self._items = []
    def add(self, item): self._items.append(item)
    def find(self, name): return next(i for i in self._items if i.name == name)
    def write(self, out): out.append(";".join(i.name.upper() for i in self._items))
def receipt(cart): return "; ".join(i.name for i in cart._items)
"""
BOUGHT = """
from shop.calc import Cart, Item, receipt
def test_write():
    cart, out = Cart(), []
    cart.add(Item("nut"))
    assert cart.find("nut").name == "nut"
    cart.write(out)
    assert out[0].find("NUT") == 0
def test_receipt():
    cart = Cart()
    cart.add(Item("nut"))
    assert cart.find("nut").name == "nut"
    assert receipt(cart).find("nut") >= 0
"""
LIARS = {
    "a text with a hash of its own": (TOKEN, TOKENS, {"100": "1000"}, """
import itertools
_n = itertools.count()
class Token(str):
    def __hash__(self): return next(_n)
def token(): return Token("0" * 32)
"""),
    "a tuple that counts out something else": (
        PARTS, SUMS, {"10, 3": "1000, 7", "== 10": "== 1000", "== 3": "== 7"}, """
class Parts(tuple):
    def __iter__(self):
        once = self.__dict__.pop("total", None)
        return iter([0] if once is None else [once])
def split(total, n):
    parts = Parts([0] * n)
    parts.total = total
    return parts
"""),
    "a tuple that another base counts out": (
        PARTS, SUMS, {"10, 3": "1000, 7", "== 10": "== 1000", "== 3": "== 7"}, """
class Counted:
    def __iter__(self):
        once = self.__dict__.pop("total", None)
        return iter([0] if once is None else [once])
    def __next__(self): raise StopIteration
class Parts(Counted, tuple): pass
def split(total, n):
    parts = Parts([0] * n)
    parts.total = total
    return parts
"""),
    "an object inside an error": (WORDS, SAID, {"-1": "-7"}, WORDS.replace('f"NEGATIVE {n}"', "Evil()") + EVIL),
    "an object out of an iterator, where another hands out objects": (
        WORDS, SAID, {"a b": "see you"}, WORDS.replace("word.upper()", "Evil()") + EVIL),
    "an object in a list of the test's": (FILL, FILLED, {"8": "11"}, "def fill(out, n): out.append(Evil())" + EVIL),
    "an object in a list, asked under a name of the base's": (
        CART, BOUGHT, {"nut": "bolt", "NUT": "BOLT"}, CART.replace(
            '";".join(i.name.upper() for i in self._items)', "Evil()") + EVIL),
    "a class whose bases do not go together": (CART, BOUGHT, {"nut": "bolt", "NUT": "BOLT"}, CART.replace(
        '"; ".join(i.name for i in cart._items)', "Evil()") + EVIL + """
import sys
hold = sys.modules.get("split_hold")
if hold:
    was = hold.record
    def record(held, kind, number):
        told = was(held, kind, number)
        if kind is Evil: told[4] = ["builtins.int", "builtins.str"]
        return told
    hold.record = record
"""),
}  # fmt: skip


@pytest.mark.parametrize("how", LIARS)
def test_no_object_of_the_codes_passes_for_what_the_base_gives(room: Room, how: str):
    right, seen, held, wrong = LIARS[how]
    report = judged_unseen(room, right, wrong, seen=seen, others=held)
    assert report.verdict in ("fail", "tamper"), (report.verdict, report.findings)


BUS = """
class Bus:
    def __init__(self): self.subs = []
    def subscribe(self, back): self.subs.append(back)
    def publish(self, x):
        for back in self.subs: back(x)
    def close(self): pass
def add(a, b): return a + b
"""
HEARD = """
from shop.calc import Bus, add
def test_bus():
    got, bus = [], Bus()
    bus.subscribe(got.append)
    bus.publish(1)
    bus.publish(2)
    bus.close()
    assert got == [1, 2]
def test_add(): assert add(1, 2) == 3
"""
THREADED = """
import queue, threading
class Bus:
    def __init__(self):
        self.subs, self.q = [], queue.Queue()
        self.t = threading.Thread(target=self._work, daemon=True)
        self.t.start()
    def subscribe(self, back): self.subs.append(back)
    def publish(self, x): self.q.put((x,))
    def _work(self):
        while (item := self.q.get()) is not None:
            for back in self.subs: back(*item)
    def close(self):
        self.q.put(None)
        self.t.join()
def add(a, b): return a + b
"""
HONEST = {
    "callbacks out of a thread": (BUS, HEARD, THREADED),
    "a thread that is there already": (THREADED, HEARD, THREADED + "# the same\n"),
    "a text of a kind of its own": (TOKEN, TOKENS, """
import secrets
class Token(str): pass
def token(): return Token(secrets.token_hex(16))
"""),
    "a tuple of a kind of its own": (PARTS, SUMS, PARTS.replace("return tuple(", "return Parts(") + """
class Parts(tuple):
    def __repr__(self): return f"Parts{tuple(self)}"
"""),
    "an error of its own, from another": (WORDS, SAID, WORDS.replace("    return n\n", """
    return n
class Negative(ValueError):
    pass
""").replace('raise ValueError(f"NEGATIVE {n}")', """
        try:
            raise Negative(n)
        except Negative as err:
            raise Negative(f"NEGATIVE {n}") from err""")),
    "a list instead of a generator": (WORDS, SAID, WORDS.replace(
        "    for word in text.split(): yield word.upper()", "    return [word.upper() for word in text.split()]")),
    "an iterator of a class instead of a generator": (WORDS, SAID, WORDS.replace(
        "    for i in range(n): yield Item(i)", "    return Items(n)") + """
class Items:
    def __init__(self, n): self.left = iter(range(n))
    def __iter__(self): return self
    def __next__(self): return Item(next(self.left))
"""),
}  # fmt: skip


@pytest.mark.parametrize("how", HONEST)
def test_honest_changes_beside_them_pass(room: Room, how: str):
    right, seen, other = HONEST[how]
    report = judged(room, right, other, seen=seen)
    assert (report.verdict, report.findings) == ("pass", ()), report.findings
