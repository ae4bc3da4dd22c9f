"""A value that is called like a secret and goes into a log, a metric or a message is told where it did not before."""

from __future__ import annotations

import pytest

from evoguard.looks.leaks import MOST_HITS, RULE, leaks

BASE = "def login(request, password):\n    return 1\n"


def told(line: str, old: str = "return 1", path: str = "src/a.py") -> list[str]:
    texts = [BASE.replace("return 1", said).encode() for said in (old, line)]
    return [hit.rule for hit in leaks({path: texts[0]}, {path: texts[1]}, [(path, path)])]


@pytest.mark.parametrize(
    "line",
    [
        "LOG.info('login', extra={'form': dict(request.form)})", "LOG.info(f'{password}')",
        "fields = dict(request.form); LOG.warning('no', extra=fields)", "metrics.login(True, trace=token)",
        "statsd.incr('x', tags=[user.api_key])", "print(os.environ)", "out.to_file(text, owner=request.cookies['sid'])",
        "socket.getaddrinfo(given.token, 443)", "track('x', row['iban'])",
    ],
)  # fmt: skip
def test_a_secret_that_is_written_counted_or_sent_is_told(line: str) -> None:
    assert told(line) == [RULE]
    assert told(line, old=line) == []


@pytest.mark.parametrize(
    "line",
    [
        "LOG.info('login', extra={'user': name})", "check(password)", "LOG.info('%s', len(password))",
        "text.write(token)", "LOG.info('same: %s', password == other)", "LOG.info('password')",
    ],
)  # fmt: skip
def test_what_is_no_secret_or_goes_nowhere_is_not(line: str) -> None:
    assert told(line) == []


def test_other_languages_tests_and_bad_input() -> None:
    line = 'track("orders", { session: token });'
    assert [hit.rule for hit in leaks({}, {"a.ts": line.encode()}, [("", "a.ts")])] == [RULE]
    assert leaks({}, {"a.ts": b'console.log("no password");'}, [("", "a.ts")]) == []
    assert leaks({}, {"a.ts": b"// track(token)"}, [("", "a.ts")]) == []
    assert told("LOG.info(password)", path="tests/test_a.py") == []
    assert told("LOG.info(password) (") == []
    many = "".join(f"def f{n}(password):\n    print(password)\n" for n in range(99))
    assert len(leaks({}, {"a.py": many.encode()}, [("", "a.py")])) == MOST_HITS
