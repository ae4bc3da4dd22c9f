"""Which special methods and attributes a split run knows. A name that is not here is not forwarded."""

from __future__ import annotations


def listed(text: str) -> list[str]:
    """Return the words of a text."""
    return text.split()


COMPARING = listed("__eq__ __ne__ __lt__ __le__ __gt__ __ge__")
_BINARY = listed("add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or")
BINARY = [f"__{way}{name}__" for name in _BINARY for way in ("", "r", "i") if way + name != "idivmod"]
ARITHMETIC = [
    *BINARY,
    *listed("__neg__ __pos__ __abs__ __invert__ __round__ __trunc__ __floor__ __ceil__"),
]
ASKED = listed("""__repr__ __str__ __format__ __bytes__ __bool__ __len__ __length_hint__ __hash__ __int__ __float__
__complex__ __index__ __iter__ __next__ __reversed__ __contains__ __getitem__ __setitem__ __delitem__
__missing__ __call__ __enter__ __fspath__""")
DUNDERS = (*COMPARING, *ARITHMETIC, *ASKED, "__exit__")
DESCRIPTOR = ("__get__", "__set__")
# Asked of a class, these go to its metaclass: members of an Enum, items of a generic.
OF_CLASSES = ("__iter__", "__len__", "__getitem__", "__contains__", "__reversed__")
# What the library asks of a time zone.
OF_ZONES = ("utcoffset", "dst", "tzname", "fromutc")
# The special names which are read as attributes; all others are answered on the spot with "no such attribute".
READ = frozenset(
    listed(
        """__name__ __qualname__ __doc__ __module__ __wrapped__ __annotations__ __defaults__ __kwdefaults__ __code__
        __self__ __func__ __version__ __all__ __author__ __license__ __title__ __description__ __copyright__ __url__
        __email__ __notes__ __members__ __args__ __origin__ __parameters__ __dataclass_fields__ __match_args__ __slots__
        __get__ __closure__ __dict__ __traceback__ __cause__ __context__ __suppress_context__ __format__ __mro__
        __bases__ __signature__ __abstractmethods__ __isabstractmethod__ __uri__ __summary__ __setstate__"""
    )
).union(DUNDERS)
# What code of the hostile side may do with a file it was handed.
FILE_WORDS = frozenset(
    listed("""read read1 readinto readline readlines write writelines seek tell flush close closed truncate readable
    writable seekable isatty getvalue name mode encoding errors newlines""")
)
DEFAULTS = frozenset(("__defaults__", "__kwdefaults__"))
FUNCTION_WORDS = frozenset(listed("__name__ __qualname__ __doc__ __annotations__ __defaults__ __kwdefaults__"))


def private(name: str) -> bool:
    """Tell whether the trusted side answers for `name` itself: special names, and what only a test runner looks for."""
    special = name.startswith("__") and name.endswith("__")
    return (special and name not in READ) or "pytest" in name or name.startswith("_split")
