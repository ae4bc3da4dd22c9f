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
    ("azure-client-secret", "Q~", r"(?<![\w~.-])[A-Za-z0-9_~.-]{3}[0-9]Q~[A-Za-z0-9_~.-]{31,34}(?![\w~.-])"),
    (
        "discord-webhook",
        "discord",
        r"https://(?:\w+\.)?discord(?:app)?\.com/api/webhooks/[0-9]{17,20}/[A-Za-z0-9_-]{60,}",
    ),
    ("twilio-key", "SK", r"\bSK[0-9a-f]{32}\b"),
    ("mailgun-key", "key-", r"\bkey-[0-9a-f]{32}\b"),
    ("digitalocean-token", "_v1_", r"\bdo[opr]_v1_[0-9a-f]{64}\b"),
    ("shopify-token", "shp", r"\bshp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}\b"),
    ("databricks-token", "dapi", r"\bdapi[0-9a-f]{32}\b"),
    ("new-relic-key", "NRAK-", r"\bNRAK-[A-Z0-9]{27}\b"),
    ("linear-key", "lin_api_", r"\blin_api_[A-Za-z0-9]{40}\b"),
    ("notion-token", "ntn_", r"\bntn_[A-Za-z0-9]{40,}\b"),
    ("doppler-token", "dp.", r"\bdp\.(?:pt|st|sa|ct|scim|audit)\.[A-Za-z0-9_.-]{40,}"),
    ("postman-key", "PMAK-", r"\bPMAK-[0-9a-f]{24}-[0-9a-f]{34}\b"),
    ("grafana-token", "glsa_", r"\bglsa_[A-Za-z0-9]{32}_[0-9a-f]{8}\b"),
    ("terraform-token", ".atlasv1.", r"\b[A-Za-z0-9]{14}\.atlasv1\.[A-Za-z0-9_=-]{60,}"),
    ("pulumi-token", "pul-", r"\bpul-[0-9a-f]{40}\b"),
    ("docker-token", "dckr_", r"\bdckr_(?:pat|oat)_[A-Za-z0-9_-]{27,}"),
    ("supabase-token", "sbp_", r"\bsbp_[0-9a-f]{40}\b"),
    ("replicate-token", "r8_", r"\br8_[A-Za-z0-9]{37}\b"),
    ("groq-key", "gsk_", r"\bgsk_[A-Za-z0-9]{52}\b"),
    ("square-token", "sq0", r"\bsq0(?:atp|csp|idp)-[A-Za-z0-9_-]{22,43}"),
    ("json-web-token", "eyJ", r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{16,}"),
)
"""Rule, texts of which one must be on the line before the pattern is tried, pattern."""
_RULES = tuple((name, tuple(hints.split()), re.compile(pattern)) for name, hints, pattern in _SHAPES)
_URL = re.compile(r"\b[a-zA-Z][a-zA-Z0-9+.-]{1,20}://[^\s:/@'\"]{0,64}:([^\s/@'\"]{3,128})@[\w.-]")
_ASSIGNED = re.compile(
    r"(?i)(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key|auth[_-]?key|credential)s?[\w-]{0,20}"
    r"['\"]?\s{0,4}(?::=|[:=])\s{0,4}[bru]{0,2}['\"]([^'\"\s]{8,200})['\"]"
)
_BARE = re.compile(
    r"(?i)^\s*(?:export\s+|-\s+|env\s+)?[\w.-]{0,60}(?:password|passwd|pwd|secret|token|api[_-]?key|access[_-]?key)[\w-]{0,20}"
    r"\s{0,4}[:=]\s{0,4}([^\s'\"#,;(){}\[\]]{8,200})\s*(?:#.*)?$"
)
"""An assignment without quotes, as in files of settings; what looks like a word or a path of code is none."""
_JOINED = re.compile(r"(['\"])\s{0,4}(?:\+|\.)?\s{0,4}\1")
"""Where one text ends and the next begins on the same line."""
_PLACEHOLDER = re.compile(
    r"(?i)^(?:your|my|some)[-_ ]|\$\{|\$\(|\{\{|%\(|%s|<[a-z]|\*\*\*|xxxx|^\$?[a-z_]+$|example|placeholder"
    r"|changeme|dummy|redacted|^\{[\w.]+\}$"
)
_NAMED = re.compile(r"[A-Za-z]+(?:[-_. /:][A-Za-z]+)+[.:]?")
"""Words in a row, without a digit: the name of a header, a setting, a class. So a passphrase of words is not seen."""
_WORDS = ("passw", "pwd", "secret", "token", "key", "cred")
_MADE_BITS = 3.0
_HAS_DIGIT = re.compile(r"[0-9]")


def find_secrets(path: str, added_lines: Iterable[tuple[int, str]]) -> list[tuple[str, str, int]]:
    """Return (rule, path, line) of every likely secret, at most one a rule and line and 100 in all.

    Lines are (number, text); of a longer line the first and last 4,096 characters are looked at.
    """
    found: list[tuple[str, str, int]] = []
    for number, text in added_lines:
        line = text if len(text) <= 2 * MOST_LINE_CHARS else f"{text[:MOST_LINE_CHARS]} {text[-MOST_LINE_CHARS:]}"
        rules = _rules_on(line)
        if not rules and (whole := _JOINED.sub("", line)) != line:
            rules = _rules_on(whole)
        found += [(rule, path, number) for rule in rules]
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
    if not rules and (bare := _BARE.match(line)) and _HAS_DIGIT.search(bare.group(1)) and _looks_made(bare.group(1)):
        rules.append("generic-secret")
    return rules


def _may_assign(line: str) -> bool:
    """Tell whether it is worth trying the slow pattern on a line."""
    lower = line.lower()
    return ("'" in line or '"' in line) and any(word in lower for word in _WORDS)


def _looks_made(value: str) -> bool:
    """Tell whether a value looks made by a machine or chosen as a password, rather than a word or a placeholder."""
    kinds = sum(bool(re.search(kind, value)) for kind in ("[a-z]", "[A-Z]", "[0-9]", "[^A-Za-z0-9]"))
    if _NAMED.fullmatch(value):
        return False
    return kinds >= 2 and not _PLACEHOLDER.search(value) and entropy_bits(value) >= _MADE_BITS
