"""Likely secrets on added lines: well-known key shapes and machine-made passwords. The secret is never kept."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

MOST_LINE_CHARS = 4096
MOST_FOUND = 100
UNSCANNED = "unscanned"
"""The rule that names a file which was too large to be looked at: no look is no pass."""

_SHAPES: tuple[tuple[str, str, str], ...] = (
    (
        "aws-access-key-id",
        "AKIA ASIA AGPA AIDA AROA ABIA ACCA",
        r"\b(?:AKIA|ASIA|AGPA|AIDA|AROA|ABIA|ACCA)[A-Z2-7]{16}\b",
    ),
    (
        "aws-secret-key",
        "aws AWS Aws",
        r"(?i:aws.{0,30}(?:secret|key).{0,20})['\"= :]([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+])",
    ),
    ("private-key", "-----BEGIN", r"-----BEGIN (?:[A-Z0-9]+ ){0,3}PRIVATE KEY(?: BLOCK)?-----"),
    ("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", r"\bgh[pousr]_[A-Za-z0-9]{36,255}\b"),
    ("github-fine-grained-token", "github_pat_", r"\bgithub_pat_[A-Za-z0-9_]{60,255}\b"),
    ("gitlab-token", "gl", r"\bgl(?:pat|dt|rt|ptt|soat|cbt)-[A-Za-z0-9_-]{20,}"),
    ("slack-token", "xox", r"\bxox[abeoprs]-[A-Za-z0-9-]{10,}"),
    ("slack-webhook", "hooks.slack.com", r"https://hooks\.slack\.com/(?:services|workflows)/[A-Za-z0-9/_-]{20,}"),
    ("google-api-key", "AIza", r"\bAIza[A-Za-z0-9_-]{35}(?![A-Za-z0-9_-])"),
    ("google-oauth-secret", "GOCSPX-", r"\bGOCSPX-[A-Za-z0-9_-]{28}"),
    ("stripe-key", "k_live_ k_test_", r"\b[rs]k_(?:live|test)_[A-Za-z0-9]{16,}"),
    ("openai-key", "sk-", r"\bsk-(?:proj-|svcacct-|admin-)?[A-Za-z0-9_-]{32,}"),
    ("anthropic-key", "sk-ant-", r"\bsk-ant-[a-z0-9]+-[A-Za-z0-9_-]{32,}"),
    ("huggingface-token", "hf_", r"\bhf_[A-Za-z0-9]{30,}\b"),
    ("npm-token", "npm_", r"\bnpm_[A-Za-z0-9]{36}\b"),
    ("pypi-token", "pypi-", r"\bpypi-AgE[A-Za-z0-9_-]{40,}"),
    ("sendgrid-key", "SG.", r"\bSG\.[A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{32,64}"),
    ("azure-storage-key", "AccountKey", r"AccountKey=[A-Za-z0-9+/]{86}=="),
    ("telegram-bot-token", ":AA", r"\b[0-9]{8,10}:AA[A-Za-z0-9_-]{33}\b"),
    ("vault-token", "hv", r"\bhv[sbr]\.[A-Za-z0-9_-]{24,}"),
    ("age-key", "AGE-SECRET", r"\bAGE-SECRET-KEY-1[A-Z0-9]{58}"),
    ("json-web-token", "eyJ", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}"),
)
"""Rule, texts of which one must be on the line before the pattern is tried, pattern."""
_RULES = tuple((name, tuple(hints.split()), re.compile(pattern)) for name, hints, pattern in _SHAPES)
_URL = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s:/@'\"]{0,64}:([^\s/@'\"]{3,128})@[\w.-]")
_ASSIGNED = re.compile(
    r"(?i)(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|auth[_-]?key|credential)s?[\w-]{0,20}"
    r"['\"]?\s{0,4}(?::=|[:=])\s{0,4}[bru]{0,2}['\"]([^'\"\s]{8,200})['\"]"
)
_PLACEHOLDER = re.compile(
    r"(?i)\$\{|\$\(|\{\{|%\(|%s|<[a-z]|\*\*\*|xxxx|^\$?[a-z_]+$|example|placeholder|changeme|dummy|redacted|^\{[\w.]+\}$"
)
_WORDS = ("passw", "pwd", "secret", "token", "key", "cred")
_MADE_BITS = 3.0


def find_secrets(path: str, added_lines: Iterable[tuple[int, str]]) -> list[tuple[str, str, int]]:
    """Return (rule, path, line) of every likely secret, at most one a rule and line and 100 in all.

    Lines are (number, text); of a longer line the first and last 4,096 characters are looked at.
    """
    found: list[tuple[str, str, int]] = []
    for number, text in added_lines:
        line = text if len(text) <= 2 * MOST_LINE_CHARS else f"{text[:MOST_LINE_CHARS]} {text[-MOST_LINE_CHARS:]}"
        found += [(rule, path, number) for rule in _rules_on(line)]
        if len(text) > 2 * MOST_LINE_CHARS:
            found.append((UNSCANNED, path, number))
        if len(found) >= MOST_FOUND:
            return found[:MOST_FOUND]
    return found


def entropy_bits(text: str) -> float:
    """Return Shannon's entropy of `text` in bits a character; 0.0 for an empty text."""
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values())


def _rules_on(line: str) -> list[str]:
    rules = [name for name, hints, pattern in _RULES if any(h in line for h in hints) and pattern.search(line)]
    if "://" in line and any(not _PLACEHOLDER.search(m.group(1)) for m in _URL.finditer(line)):
        rules.append("connection-password")
    if not rules and _may_assign(line) and any(_looks_made(m.group(1)) for m in _ASSIGNED.finditer(line)):
        rules.append("generic-secret")
    return rules


def _may_assign(line: str) -> bool:
    """Tell whether it is worth trying the slow pattern on a line."""
    lower = line.lower()
    return ("'" in line or '"' in line) and any(word in lower for word in _WORDS)


def _looks_made(value: str) -> bool:
    """Tell whether a value looks made by a machine or chosen as a password, rather than a word or a placeholder."""
    kinds = sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    return kinds >= 2 and not _PLACEHOLDER.search(value) and entropy_bits(value) >= _MADE_BITS
