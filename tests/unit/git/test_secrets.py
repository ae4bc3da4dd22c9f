"""Planted secrets are assembled here at run time, so that no scanner takes this file for a leak."""

from __future__ import annotations

import random

import pytest

from evoguard.bench.corpus.planted import SHAPES, clean, planted
from evoguard.domain.secrets import MOST_FOUND, UNSCANNED, find_secrets

A = "aB3dE6gH9jK2mN5pQ8sT1vW4xY7zC0fR"
PLANTED = {
    "aws-access-key-id": "AK" + "IA" + "Q2W3E4R5T6Y7U2I3",
    "aws-secret-key": "aws_secret_access_key = " + (A + A)[:40],
    "private-key": "-----BEGIN " + "RSA PRIVATE" + " KEY-----",
    "github-token": "gh" + "p_" + (A + A)[:36],
    "github-fine-grained-token": "github" + "_pat_" + (A + A),
    "gitlab-token": "gl" + "pat-" + A[:20],
    "slack-token": "xo" + "xb-" + "123456789012-abcdef",
    "slack-webhook": "https://hooks." + "slack.com/services/" + A,
    "google-api-key": "AI" + "za" + (A + A)[:35],
    "google-oauth-secret": "GOC" + "SPX-" + A[:28],
    "stripe-key": "sk" + "_live_" + A[:24],
    "openai-key": "sk" + "-proj-" + A + A,
    "anthropic-key": "sk" + "-ant-api03-" + A + A,
    "huggingface-token": "h" + "f_" + A,
    "npm-token": "np" + "m_" + (A + A)[:36],
    "pypi-token": "pyp" + "i-AgE" + A + A,
    "sendgrid-key": "S" + "G." + A[:22] + "." + (A + A)[:43],
    "azure-storage-key": "Account" + "Key=" + (A * 3)[:86] + "==",
    "telegram-bot-token": "123456789:" + "AA" + (A + A)[:33],
    "vault-token": "hv" + "s." + A,
    "age-key": "AGE-SEC" + "RET-KEY-1" + "Q" * 58,
    "json-web-token": "ey" + "J" + A + ".ey" + "J" + A + "." + A,
    "connection-password": "postgres://ann:" + "s3cr3tPw" + "@db.example.org/x",
    "generic-secret": "pass" + "word = \"Tr0ub4dor&3x\"",
}  # fmt: skip


@pytest.mark.parametrize("rule", sorted(PLANTED))
def test_a_planted_secret_is_found_by_its_rule(rule: str) -> None:
    found = find_secrets("a.py", [(7, f"x = f({PLANTED[rule]})")])
    assert (rule, "a.py", 7) in found
    assert PLANTED[rule] not in repr(found)


@pytest.mark.parametrize(
    "line",
    [
        'password = "changeme-please"',
        'password = os.environ["DB_PASSWORD"]',
        'token = "${TOKEN}"',
        "password: str",
        'secret = "{{ vault.secret }}"',
        'api_key = "your_api_key_here"',
        "postgres://user:${PASSWORD}@db/x",
        "https://example.org:8443/a@b",
        "AKIA",
        "sha256:" + "0123456789abcdef" * 4,
        "0123456789abcdef" * 4,
        "sk-learn-" + "x",
        'key = "user.name"',
        "the token is read from the file",
        'raise KeyError("unknown key")',
        "token = Number.Float",
        "    token_type = 'quoted-string'",
        'USER_TOKEN_HEADER = "X-Our-User-Token"',
        "secretName: our-own-tls",
        'api_key = "your-own-api-key"',
    ],
)
def test_ordinary_lines_are_not_secrets(line: str) -> None:
    assert find_secrets("a.py", [(1, line)]) == []


def test_both_ends_of_a_long_line_are_looked_at_and_the_rest_is_reported() -> None:
    line = "x" * 9_000 + " " + PLANTED["aws-access-key-id"]
    assert find_secrets("min.js", [(1, line)]) == [("aws-access-key-id", "min.js", 1), (UNSCANNED, "min.js", 1)]


def test_findings_are_bounded() -> None:
    lines = [(n, PLANTED["aws-access-key-id"]) for n in range(1_000)]
    assert len(find_secrets("a.py", lines)) == MOST_FOUND


@pytest.mark.parametrize("kind", sorted(SHAPES))
def test_each_makers_shape_is_found_wherever_it_stands(kind: str) -> None:
    draw = random.Random(3)  # noqa: S311
    for n in range(20):
        secret = SHAPES[kind](draw)
        for line in (f'x = "{secret}"', f"X={secret}", f"  x: {secret}", f"curl -H 'Authorization: Bearer {secret}' u"):
            assert find_secrets("a", [(n, line)]), line.replace(secret, kind)


def test_a_text_that_is_put_together_on_one_line_is_read_as_one() -> None:
    secret = PLANTED["github-token"]
    for line in (
        f'"{secret[:9]}" + "{secret[9:]}"',
        f'"{secret[:9]}" "{secret[9:]}"',
        f"'{secret[:9]}'+'{secret[9:]}'",
    ):
        assert [rule for rule, _, _ in find_secrets("a", [(1, f"x = ({line})")])] == ["github-token"]


@pytest.mark.parametrize("line", ["DB_PASSWORD=Tr0ub4dor3", "  password: Tr0ub4dor3", "export API_KEY=a1b2c3d4e5f6g7"])
def test_settings_without_quotes_are_read_too(line: str) -> None:
    assert [rule for rule, _, _ in find_secrets("a", [(1, line)])] == ["generic-secret"]


def test_of_made_up_lines_nearly_all_are_told_apart() -> None:
    found = [bool(find_secrets("a", [(1, line)])) for _, line in planted(2_000, seed=11)]
    false = [bool(find_secrets("a", [(1, line)])) for line in clean(2_000, seed=12)]
    assert sum(found) >= 0.98 * len(found)
    assert sum(false) <= 0.005 * len(false)
