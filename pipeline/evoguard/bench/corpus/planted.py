"""Lines with a secret planted in them, and lines that only look so, made up at run time from a seed.

Nothing here is a secret: each is drawn anew in the shape that its maker documents. Half of the clean lines are what
scanners are known to stumble over: digests, lock files, ids, words around a password, references to where it is kept.
"""

from __future__ import annotations

import base64
import hashlib
import random
import string
import uuid
from collections.abc import Callable

Draw = random.Random
LOWER, UPPER, DIGIT, HEX = string.ascii_lowercase, string.ascii_uppercase, string.digits, "0123456789abcdef"
ALNUM = LOWER + UPPER + DIGIT
WORD = ALNUM + "_-"


def of(letters: str, count: int) -> Callable[[Draw], str]:
    """Return what draws so many letters."""
    return lambda draw: "".join(draw.choices(letters, k=count))


def shaped(*parts: str | Callable[[Draw], str]) -> Callable[[Draw], str]:
    """Return what draws a text of fixed and drawn parts."""
    return lambda draw: "".join(part if isinstance(part, str) else part(draw) for part in parts)


def _jwt(draw: Draw) -> str:
    parts = (b'{"alg":"HS256","typ":"JWT"}', b'{"sub":"%d","name":"x"}' % draw.randrange(10**9), draw.randbytes(32))
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


def _password(draw: Draw) -> str:
    """Return a password as people and machines make them: letters of both cases, digits, a mark."""
    return "".join(
        draw.sample([*draw.choices(LOWER, k=5), *draw.choices(UPPER, k=3), *draw.choices(DIGIT, k=3), "!"], 12)
    )


SHAPES: dict[str, Callable[[Draw], str]] = {
    "aws id": shaped("AK" + "IA", of(UPPER + "234567", 16)),
    "github": shaped("gh" + "p_", of(ALNUM, 36)),
    "github fine-grained": shaped("github" + "_pat_", of(ALNUM, 22), "_", of(ALNUM, 59)),
    "gitlab": shaped("gl" + "pat-", of(WORD, 20)),
    "slack": shaped("xo" + "xb-", of(DIGIT, 12), "-", of(DIGIT, 12), "-", of(ALNUM, 24)),
    "slack webhook": shaped("https://hooks." + "slack.com/services/T", of(UPPER + DIGIT, 8), "/B", of(UPPER + DIGIT, 8),
                            "/", of(ALNUM, 24)),
    "google": shaped("AI" + "za", of(WORD, 35)),
    "stripe": shaped("sk" + "_live_", of(ALNUM, 24)),
    "openai": shaped("sk" + "-proj-", of(WORD, 48)),
    "anthropic": shaped("sk" + "-ant-api03-", of(WORD, 80)),
    "huggingface": shaped("h" + "f_", of(ALNUM, 34)),
    "npm": shaped("np" + "m_", of(ALNUM, 36)),
    "sendgrid": shaped("S" + "G.", of(WORD, 22), ".", of(WORD, 43)),
    "azure storage": shaped("Account" + "Key=", of(ALNUM + "+/", 86), "=="),
    "azure client": shaped(of(ALNUM, 3), "8Q" + "~", of(WORD + ".", 34)),
    "telegram": shaped(of(DIGIT, 10), ":A" + "A", of(WORD, 33)),
    "vault": shaped("hv" + "s.", of(WORD, 28)),
    "jwt": _jwt,
    "discord": shaped("https://discord." + "com/api/webhooks/", of(DIGIT, 18), "/", of(WORD, 68)),
    "twilio": shaped("S" + "K", of(HEX, 32)),
    "mailgun": shaped("ke" + "y-", of(HEX, 32)),
    "digitalocean": shaped("do" + "p_v1_", of(HEX, 64)),
    "shopify": shaped("shp" + "at_", of(HEX, 32)),
    "databricks": shaped("da" + "pi", of(HEX, 32)),
    "new relic": shaped("NR" + "AK-", of(UPPER + DIGIT, 27)),
    "linear": shaped("lin" + "_api_", of(ALNUM, 40)),
    "notion": shaped("nt" + "n_", of(ALNUM, 46)),
    "doppler": shaped("dp" + ".pt.", of(ALNUM, 43)),
    "postman": shaped("PM" + "AK-", of(HEX, 24), "-", of(HEX, 34)),
    "grafana": shaped("gl" + "sa_", of(ALNUM, 32), "_", of(HEX, 8)),
    "terraform": shaped(of(ALNUM, 14), ".atlas" + "v1.", of(WORD, 67)),
    "pulumi": shaped("pu" + "l-", of(HEX, 40)),
    "docker": shaped("dck" + "r_pat_", of(WORD, 27)),
    "supabase": shaped("sb" + "p_", of(HEX, 40)),
    "replicate": shaped("r" + "8_", of(ALNUM, 37)),
    "groq": shaped("gs" + "k_", of(ALNUM, 52)),
    "square": shaped("sq0" + "atp-", of(WORD, 22)),
}  # fmt: skip
"""Maker → how its secrets look. Their prefixes are put together here, so that no scanner takes this file for a leak."""
CARRIERS = (
    'client = Client("{}")', "export SERVICE_KEY={}", "  api_token: {}", '  "token": "{}",', "# old one: {}",
    'curl -H "Authorization: Bearer {}" https://api.example.org', "const key = '{}';", "KEY = b'{}'",
)  # fmt: skip
SPLIT = ('key = "{}" + "{}"', "const key = '{}' + '{}';", 'key = ("{}" "{}")')
PASSWORDS = (
    'password = "{}"', "DB_PASSWORD={}", "  password: {}", '"db_password": "{}"', "url = 'postgres://app:{}@db.example.org/x'",
    "conn(host='db', passwd='{}')", "amqp://app:{}@mq.example.org:5672", 'secret_key: "{}"',
)  # fmt: skip


def planted(count: int, *, seed: int) -> list[tuple[str, str]]:
    """Return (kind, line) of so many lines with a secret: known shapes, split ones, passwords."""
    draw = random.Random(seed)  # noqa: S311  (lines to try)
    lines = []
    for at in range(count):
        if at % 4 == 3:
            lines.append(("password", draw.choice(PASSWORDS).format(_password(draw))))
            continue
        kind = list(SHAPES)[at % len(SHAPES)]
        secret = SHAPES[kind](draw)
        if at % 10 == 4:
            cut = draw.randrange(3, len(secret) - 3)
            lines.append((f"{kind}, split", draw.choice(SPLIT).format(secret[:cut], secret[cut:])))
        else:
            lines.append((kind, draw.choice(CARRIERS).format(secret)))
    return lines


def clean(count: int, *, seed: int) -> list[str]:
    """Return so many lines without a secret."""
    draw = random.Random(seed)  # noqa: S311
    kinds = [*_digests(draw), *_words(draw)]
    return [kinds[at % len(kinds)]() for at in range(count)]


def _digests(draw: Draw) -> list[Callable[[], str]]:
    """Return what makes lines with long numbers that are public."""
    sha: Callable[[], str] = lambda: hashlib.sha256(draw.randbytes(8)).hexdigest()  # noqa: E731
    b64: Callable[[int], str] = lambda size: base64.b64encode(draw.randbytes(size)).decode()  # noqa: E731
    return [
        lambda: f"    --hash=sha256:{sha()} \\",
        lambda: f'      "integrity": "sha512-{b64(64)}",',
        lambda: f"uses: actions/checkout@{sha()[:40]}",
        lambda: f'ID = "{uuid.UUID(bytes=draw.randbytes(16))}"',
        lambda: f'LOGO = "data:image/png;base64,{b64(90)}"',
        lambda: f"ssh-ed25519 {b64(51)} ann@example.org",
        lambda: f"commit {sha()[:40]}",
        lambda: f'assert digest == "{sha()}"',
        lambda: f"color: #{sha()[:6]}; background: #{sha()[:6]};",
        lambda: f'KEY_PATTERN = re.compile(r"^sk-[a-z]{{{draw.randrange(9)}}}$")',
        lambda: f'"version": "{draw.randrange(9)}.{draw.randrange(99)}.0",',
    ]


def _words(draw: Draw) -> list[Callable[[], str]]:
    """Return what makes lines that speak of secrets and hold none."""
    word: Callable[[], str] = lambda: "".join(draw.choices(LOWER, k=draw.randrange(4, 11)))  # noqa: E731
    return [
        lambda: f'{word()}_password = os.environ["{word().upper()}_PASSWORD"]',
        lambda: f'token = get_token("{word()}")',
        lambda: f"def {word()}(password: str, secret_key: bytes) -> Token:",
        lambda: f"PASSWORD_RESET_TIMEOUT_{word().upper()} = {draw.randrange(9999)}",
        lambda: f'label = _("Enter your {word()} password")',
        lambda: f"  password: ${{{{ secrets.{word().upper()}_PASSWORD }}}}",
        lambda: f'api_key = "your-{word()}-api-key"',
        lambda: f'secret = "<{word()}-secret>"',
        lambda: f"https://{word()}.example.org:8443/{word()}?page={draw.randrange(99)}",
        lambda: f'raise ValueError("token {word()} has no {word()}")',
        lambda: f"export const {word()}Token = createToken({word()});",
        lambda: f"secretName: {word()}-{word()}-tls",
        lambda: f'key = "{word()}.{word()}.{word()}"',
        lambda: f"postgres://${{DB_USER}}:${{DB_PASSWORD}}@{word()}/x",
        lambda: f"# the password of {word()} is read from {word()}.ini",
        lambda: f"token_type: {word()}",
        lambda: f"{word()}_key={word()}",
        lambda: f"token = {word().title()}.{word().title()}",
        lambda: f"    token_type = '{word()}-{word()}'",
    ]
