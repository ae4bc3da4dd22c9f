"""Changed code that decides who comes in, what is refused or how something is kept: people look at every such change.

Python is compared function by function as syntax trees, so that a comment, a docstring or a moved function is none, nor
is one that only refuses on more conditions or logs a fixed text; other languages by the lines around what protects. So
is code that counts money. It proves nothing wrong: a machine cannot tell a good check from one that lets somebody in.
"""

from __future__ import annotations

import ast
import difflib
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from evoguard.domain.scan import Hit
from evoguard.looks.trees import MOST_BYTES, Tree, Trees, name_of

CHANGED, FEWER, MONEY = "guard.changed", "guard.fewer_refusals", "money.changed"
UNREAD = "(the whole file: it cannot be read to its end)"
MOST_PAIRS = 5_000_000
"""Pairs of equal lines of two texts that are compared: what takes longer is looked at by people."""
MOST_HITS, AROUND = 20, 3
_TEST = re.compile(
    r"(?i)(.*/)?(tests?|__tests__|specs?)/.*|(.*/)?(test_[^/]*|[^/]*[_.](test|spec)\.[a-z]+|conftest\.py)\Z"
)
_NAMED = re.compile(
    r"(?i)_*((check|is|has|may|can|verify|validate|require|allow|grant|deny|ensure|assert)_\w*)?"
    r"(auth(?!ors?(_|\Z))\w*|log_?in\w*|passw\w*|verify\w*|verified|permi\w*|allowed|may|admin\w*|acl|csrf\w*|otp|mfa|totp|encrypt\w*"
    r"|decrypt\w*|signature\w*|credential\w*|saniti\w*|access|token|owner|role)(_\w*)?"
)
"""A function whose name says that it decides who comes in, or keeps something."""
_PLACE = re.compile(
    r"(?i)(.*/)?(\w+[_.-])?(auth[nz]?|authentication|authorization|log_?in|guards?|acl|permissions?|cors|csrf|jwt|oauth2?|crypto"
    r"|security|access|rate_?limit\w*|audit|session)([_.-]\w+)?\.\w+"
)
"""A file whose name says so of all that stands in it."""
_PAYS = re.compile(
    r"(?i)(\w+_)?(cents|amounts?|prices?|fees?|balances?|payouts?|refund(s|ed)?|charges?|invoices?|tax(es)?|discounts?|iban"
    r"|currency|interest_rate|salary|wages?)(_\w+)?"
)
_KEPT = re.compile(r"(?i)pass|secret|token|key|cookie|session|credential|form|header|environ|card|signature|body|auth")
_LOGS = frozenset({"debug", "info", "warning", "error", "exception", "critical"})
_USED = re.compile(
    r"compare_digest|scrypt|pbkdf2\w*|bcrypt|argon2\w*|hmac|AESGCM|ChaCha20Poly1305|Fernet|jwt|check_hostname|verify_mode"
    r"|CERT_\w+|is_(admin|staff|superuser|authenticated|owner)|has_perm\w*|check_password|verify_\w+|verify"
    r"|token_(hex|bytes|urlsafe)|SystemRandom|urandom|login_required|permission\w*"
)
_WORD = re.compile(
    r"\b(timingSafeEqual|hmac\.\w+|createHmac|createCipher\w*|bcrypt\w*|argon2\w*|jwt\.\w+|jsonwebtoken|scrypt\w*|pbkdf2\w*"
    r"|rejectUnauthorized|InsecureSkipVerify|ConstantTime\w*|x509\.\w+|tls\.Config|isAdmin|is_admin|isOwner|hasRole"
    r"|has_role|isAuthenticated|authorize\w*|authenticate\w*|requireAuth\w*|verify(Signature|Token|Password)?\(|checkPassword"
    r"|csrf\w*|sanitize\w*|escapeHtml|hasPermission|permissions?\.|randomBytes|crypto\.\w+|password_verify|hash_equals"
    r"|X509_\w+|SSL_CTX_\w+|MessageDigest|SecureRandom|Cipher\.getInstance)"
)
_CODE = re.compile(r".*\.([cm]?[jt]sx?|go|rs|rb|php|java|kt|cs|scala|swift|c|cc|cpp|h|vue)\Z")


@dataclass(frozen=True, slots=True)
class Function:
    """One function, or the statements of a module outside of all (`name` empty)."""

    name: str
    line: int
    digest: str
    """Of delicate code only, for nothing else is compared."""
    delicate: str
    """The rule that tells of a change of it, or empty."""
    refusals: int
    """Conditions under which it raises or answers no."""
    bare: str = ""
    """Its digest without the refusals; `refused`: the conditions of those."""
    refused: frozenset[str] = frozenset()


def touched(
    base: Mapping[str, bytes],
    head: Mapping[str, bytes],
    changed: Sequence[tuple[str, str]],
    trees: Trees | None = None,
) -> list[Hit]:
    """Return each place where what protects was changed. `changed`: (path at the base or empty, path now or empty)."""
    hits: list[Hit] = []
    known = trees or Trees()
    before: list[tuple[str, list[Function]]] = []
    after: list[tuple[str, list[Function]]] = []
    for was, now in changed:
        old, new = base.get(was, b""), head.get(now, b"")
        code = (now or was).endswith(".py") or bool(now and _CODE.match(now))
        if all(_TEST.match(path) for path in (was, now) if path):
            continue
        if code and max(len(old), len(new)) > MOST_BYTES:
            hits.append(_hit(CHANGED, now or was, 0, UNREAD))
        elif (now or was).endswith(".py"):
            sides = _functions(was, known.base.tree(was, old)), _functions(now, known.head.tree(now, new))
            if sides[0] is None or sides[1] is None:
                hits.append(_hit(CHANGED, now or was, 0, UNREAD))
                continue
            before.append((now or was, sides[0]))
            after.append((now or was, sides[1]))
        elif now and _CODE.match(now):
            hits += _by_lines(now, old, new)
    return [*hits, *_changed(before, after), *_fewer(before, after)][:MOST_HITS]


def _changed(
    before: Sequence[tuple[str, list[Function]]], after: Sequence[tuple[str, list[Function]]]
) -> Iterator[Hit]:
    """Yield delicate functions that are nowhere in the other tree's changed files as they stand here."""
    known = {one.digest for _, functions in before for one in functions} - {""}
    now = {one.digest for _, functions in after for one in functions}
    for (path, new), (_, old) in zip(after, before, strict=True):
        kept = {one.name for one in new}
        weighty = {one.name: one for one in old if one.delicate}
        for one in new:
            then = weighty.get(one.name)
            if then and then.bare and then.bare == one.bare and then.refused <= one.refused:
                continue
            if one.digest not in known and (one.delicate or then):
                yield _hit(one.delicate or then.delicate if then else one.delicate, path, one.line, one.name)
        gone = [one for one in old if one.delicate and one.digest not in now and one.name not in kept]
        yield from (_hit(one.delicate, path, 0, one.name) for one in gone)


def _fewer(before: Sequence[tuple[str, list[Function]]], after: Sequence[tuple[str, list[Function]]]) -> Iterator[Hit]:
    """Yield functions that refuse on fewer conditions, where the whole change has fewer of them."""
    refused = [sum(one.refusals for _, functions in side for one in functions) for side in (before, after)]
    if refused[1] >= refused[0]:
        return
    for (path, old), (_, new) in zip(before, after, strict=True):
        then = {one.name: one.refusals for one in old}
        yield from (_hit(FEWER, path, one.line, one.name) for one in new if one.refusals < then.get(one.name, 0))


def _functions(path: str, tree: Tree) -> list[Function] | None:
    """Return the functions of a text, or None when this Python cannot read it, as a newer one might."""
    try:
        return None if tree is None else _read(tree, CHANGED if _PLACE.fullmatch(path) else "")
    except (RecursionError, MemoryError, ValueError, SyntaxError):
        return None


def _read(tree: ast.Module, place: str) -> list[Function]:
    found = list(_inside(tree, "", place))
    loose = [one for one in tree.body if not isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)]
    rest = [one for one in loose if not isinstance(one, ast.Import | ast.ImportFrom)]
    module = ast.Module(rest, [])
    delicate = _uses(module) if rest else ""
    return [*found, Function("", 1, _digest(module) if delicate else "", delicate, _refusals(module))]


def _inside(node: ast.AST, scope: str, place: str) -> Iterator[Function]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            name = f"{scope}{child.name}"
            delicate = place or (CHANGED if _NAMED.fullmatch(child.name) else _uses(child))
            bare, refused = _without_refusals(child) if delicate else ("", frozenset())
            yield Function(
                name, child.lineno, _digest(child) if delicate else "", delicate, _refusals(child), bare, refused
            )
        elif isinstance(child, ast.ClassDef):
            yield from _inside(child, f"{scope}{child.name}.", place)


def _digest(node: ast.AST) -> str:
    """Return what a piece of code does, without its documentation, its annotations and where it stands."""
    return _digest_of(_Bare(), node)


def _digest_of(less: ast.NodeTransformer, node: ast.AST) -> str:
    made = ast.dump(less.visit(ast.parse(ast.unparse(node))))
    return hashlib.sha256(made.encode("utf-8", "surrogatepass")).hexdigest()


class _Bare(ast.NodeTransformer):
    """Takes away what does nothing: texts that stand alone, and annotations."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:  # the name is ast's
        """Drop a text that stands alone, and a line for the log that says only fixed texts and plain names."""
        return None if isinstance(node.value, ast.Constant) or _logs(node) else self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        """Drop an annotation."""
        return ast.arg(node.arg)


class _Open(_Bare):
    """Takes away what refuses as well, and keeps on what."""

    def __init__(self) -> None:
        self.refused: set[str] = set()

    def visit_If(self, node: ast.If) -> ast.AST | None:  # the name is ast's
        """Drop a condition under which nothing but raising is done."""
        said = [step for step in node.body if not (isinstance(step, ast.Expr) and _logs(step))]
        if node.orelse or len(said) != 1 or not isinstance(said[0], ast.Raise):
            return self.generic_visit(node)
        self.refused.add(ast.unparse(node.test))
        return None


def _without_refusals(node: ast.AST) -> tuple[str, frozenset[str]]:
    opened = _Open()
    return _digest_of(opened, node), frozenset(opened.refused)


def _logs(node: ast.Expr) -> bool:
    """Tell whether a line only writes texts and plain names to a log, none of them called like a secret."""
    call = node.value
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute) or call.func.attr not in _LOGS:
        return False
    parts = [one for value in (*call.args, *(word.value for word in call.keywords)) for one in ast.walk(value)]
    plain = ast.Constant | ast.Name | ast.Attribute | ast.Dict | ast.Load | ast.JoinedStr | ast.FormattedValue
    return all(isinstance(one, plain) for one in parts) and not any(_KEPT.search(name_of(one)) for one in parts)


def _uses(node: ast.AST) -> str:
    """Return the rule of what is used in a piece of code, or nothing."""
    pays = ""
    for one in ast.walk(node):
        name = name_of(one) or (one.arg if isinstance(one, ast.arg) else getattr(one, "name", "") or "")
        if isinstance(one, ast.Attribute | ast.Name) and _USED.fullmatch(name):
            return CHANGED
        if name and _PAYS.fullmatch(name):
            pays = MONEY
    return pays


def _refusals(node: ast.AST) -> int:
    return sum(
        _conditions(one.test) for one in ast.walk(node)
        if isinstance(one, ast.If) and any(_refuses(step) for step in one.body)
    )  # fmt: skip


def _conditions(test: ast.expr) -> int:
    return sum(_conditions(one) for one in test.values) if isinstance(test, ast.BoolOp) else 1


def _refuses(step: ast.stmt) -> bool:
    if isinstance(step, ast.Return):
        return isinstance(step.value, ast.Constant) and step.value.value is False
    if isinstance(step, ast.Expr) and isinstance(step.value, ast.Call):
        return name_of(step.value.func) in ("abort", "exit", "forbid", "deny")
    return isinstance(step, ast.Raise)


def _by_lines(path: str, old: bytes, new: bytes) -> Iterator[Hit]:
    """Yield the first changed line of code that stands near a word of what protects, in either text."""
    texts = [[line.strip() for line in data.decode("utf-8", "replace").split("\n")] for data in (old, new)]
    place = bool(_PLACE.fullmatch(path))
    if not place and not any(_WORD.search(line) for text in texts for line in text):
        return
    now = Counter(texts[1])
    if sum(count * now[line] for line, count in Counter(texts[0]).items()) > MOST_PAIRS:
        yield _hit(CHANGED, path, 0, UNREAD)
        return
    blocks = difflib.SequenceMatcher(None, texts[0], texts[1], autojunk=False).get_opcodes()
    for kind, a, b, c, d in blocks:
        spans = ((texts[0], a, b), (texts[1], c, d))
        if kind == "equal" or not any(_says(line) for text, start, end in spans for line in text[start:end]):
            continue
        near = (line for text, start, end in spans for line in text[max(0, start - AROUND) : end + AROUND])
        if place or any(_WORD.search(line) for line in near):
            yield _hit(CHANGED, path, c + 1, "")
            return


def _says(line: str) -> bool:
    return bool(line) and not line.startswith(("//", "/*", "*", "#", "import ", "}"))


def _hit(rule: str, path: str, line: int, name: str) -> Hit:
    said = "what decides who comes in, or keeps something, is changed"
    if rule == MONEY:
        said = "what counts or moves money is changed"
    elif rule == FEWER:
        said = "it refuses on fewer conditions than before"
    return Hit(rule, "warning", path, line, said + (f": {name[:80]}" if name else ""), name)
