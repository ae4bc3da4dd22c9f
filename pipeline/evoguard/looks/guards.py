"""What guards something in the base's text and is gone in the change's: a comparison in constant time, an escape.

Counted by word over the whole change, so that a check that moved to another file is not lost. It tells people where to
look and proves nothing: a check that is still there may not be asked any more.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from evoguard.domain.scan import Hit
from evoguard.looks.trees import MOST_BYTES

RULE = "guard.fewer_checks"
MOST_HITS = 100
_CODE = re.compile(
    r".*\.(pyi?|[cm]?[jt]sx?|go|rb|rs|php|java|kt|cs|scala|swift|c|cc|cpp|h|sh|bash|ya?ml|toml|conf|mk|html?|jinja2?"
    r"|vue|erb)\Z"
    r"|(.*/)?(Makefile|Dockerfile)[^/]*\Z"
)
_WORDS = re.compile(
    r"\b(compare_digest|hmac\.Equal|urandom|hash_equals|token_bytes|timingSafeEqual|ConstantTimeCompare|constant_time\w*|scrypt|bcrypt|argon2\w*|pbkdf2\w*"
    r"|safe_load|safe_join|secure_filename|literal_eval|shlex\.quote|escapeshellarg|html\.escape|escapeHtml|markupsafe"
    r"|bleach|DOMPurify|sanitize\w*|check_hostname|CERT_REQUIRED|rejectUnauthorized|create_default_context"
    r"|verify_signature|verify_\w+|validate_\w+|authorize\w*|authenticate\w*|(?:is_|require_|requires_|check_)?permissions?"
    r"|\w+_required|IsAuthenticated|csrf\w*|rate_?limit\w*|helmet|PreparedStatement|HttpOnly|SameSite|httponly|samesite"
    r"|SystemRandom|randomBytes|is_relative_to|realpath|commonpath|hashlib\.sha256|sha256sum"
    r"|gpg --verify"
    r"|read_only: true|internal: true|cap_drop|requirepass|runAsNonRoot|readOnlyRootFilesystem|no-new-privileges"
    r"|secrets\.\w+|MaxBytesReader|LimitReader|select_for_update|Mutex|RLock|\.Lock\(\)"
    r"|--require-hashes|--verify|cosign|hmac\.new|set -e\w*|USER nobody|weights_only)(?!\w)"
    r"|(?<![\w-])(--require-hashes|--ignore-scripts|--frozen-lockfile|set -e\w*)"
)


def lost(base: Mapping[str, bytes], head: Mapping[str, bytes], changed: Sequence[tuple[str, str]]) -> tuple[Hit, ...]:
    """Return each word that the change has less often than the base, at the file that lost most of it.

    `changed`: (path at the base or empty, path now or empty). A file that is deleted whole loses nothing.
    """
    fewer: dict[str, tuple[int, str]] = {}
    total: Counter[str] = Counter()
    for was, now in changed:
        if not was or not now:
            total.update(_counted(now, head.get(now, b"")) if now else {})
            continue
        old, new = _counted(was, base.get(was, b"")), _counted(now, head.get(now, b""))
        total.update(new)
        total.subtract(old)
        for word in old.keys() | new.keys():
            gone = old[word] - new[word]
            if gone > fewer.get(word, (0, ""))[0]:
                fewer[word] = (gone, now)
    hits = [_hit(word, fewer[word][1]) for word in sorted(fewer) if total[word] < 0]
    return tuple(hits[:MOST_HITS])


def _counted(path: str, data: bytes) -> Counter[str]:
    if not _CODE.match(path) or len(data) > MOST_BYTES:
        return Counter()
    text = data.decode("utf-8", "replace")
    lines = (line for line in text.split("\n") if not line.lstrip().startswith(("#", "//", "import ", "from ")))
    return Counter(found.group() for line in lines for found in _WORDS.finditer(line))


def _hit(word: str, path: str) -> Hit:
    return Hit(RULE, "warning", path, 0, f"fewer of what guards something than before: {word}", word)
