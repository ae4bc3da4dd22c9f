"""What a file can do for the first time is told; what it could do before, and what only looks like it, is not."""

from __future__ import annotations

import pytest

from evoguard.ports.forge import Blob
from evoguard.supply.capabilities import gained


def told(path: str, new: str, old: str | None = None, *, was: str = "") -> set[str]:
    base = {} if old is None else {was or path: Blob("100644", old.encode())}
    pair = ("" if old is None else was or path, path)
    return {note.rule for note in gained(base, {path: Blob("100644", new.encode())}, [pair])}


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("import socket", "network"), ("def f():\n    from urllib import request", "network"),
        ("import http.client as h", "network"), ("import asyncio\nasyncio.open_connection()", "network"),
        ("from os import system as s\ns('id')", "process"), ("import os as o\no.popen('id')", "process"),
        ("import subprocess", "process"), ("eval('1')", "code"), ("f = exec", "code"), ("__import__('x')", "code"),
        ("import importlib\nimportlib.import_module(n)", "code"), ("import ctypes", "native"),
        ("import pickle", "objects"), ("import yaml\nyaml.load(t)", "objects"),
        ("import os\nx = dict(os.environ)", "environment"), ("import os\nos.environ[name]", "environment"),
        ("import os\nos.getenv('API_TOKEN')", "environment"), ("open('/etc/passwd')", "outside"),
        ("p.chmod(0o600)", "rights"), ("import atexit", "hooks"), ("x.__subclasses__()", "hooks"),
        ("import time\nif time.time() > 5: pass", "clock"), ("import random\nif random.random() < 0.1: pass", "chance"),
        ("u = 'https://a.example.net/x'", "hosts"), ("def (", "unread"),
    ],
)  # fmt: skip
def test_python_gains(text: str, rule: str) -> None:
    assert f"capability.{rule}" in told("src/a.py", text, "x = 1\n")
    assert f"capability.{rule}" in told("src/a.py", text)
    assert f"capability.{rule}" not in told("src/a.py", text + "\ny = 2\n" if rule != "unread" else text, text)


@pytest.mark.parametrize(
    "text",
    [
        "import json\nimport re\nre.compile('x')", '"""See https://a.example.net/x."""', "# import socket",
        "import os\nos.environ.get('TIMEOUT', '1')\nos.path.join('a')", "from os import environ\nenviron['PORT']",
        "import time\nstart = time.time()", "import random\nrandom.shuffle(x)", "from . import requests",
        "eval_all = 1", "u = 'http://localhost:80/'", "x.system('a')",
    ],
)  # fmt: skip
def test_what_only_looks_like_it(text: str) -> None:
    assert told("src/a.py", text, "x = 1\n") == set()


@pytest.mark.parametrize(
    ("path", "text", "rule"),
    [
        ("a.js", "const c = require('child_process');", "process"), ("a.ts", "import x from 'node:https';", "network"),
        ("a.js", "navigator.sendBeacon(u)", "network"), ("a.js", "const k = process.env;", "environment"),
        ("a.js", "process.env.NPM_TOKEN", "environment"), ("a.js", "f['constructor']('x')", "code"),
        ("a.go", 'import "os/exec"', "process"), ("a.go", 'import "net/http"', "network"),
        ("a.go", "func init() {", "hooks"), ("a.go", 'import "unsafe"', "native"),
        ("build.rs", 'Command::new("sh")', "process"), ("a.sh", "curl -s x", "network"),
        ("Makefile", "\tenv | sort", "environment"), ("a.sh", "git push -q x", "network"),
        ("compose.yaml", "    privileged: true", "rights"), ("A.java", "Runtime.getRuntime().exec(x)", "process"),
        ("a.php", "unserialize($x);", "objects"), ("a.c", "system(x);", "process"),
    ],
)  # fmt: skip
def test_other_languages_gain(path: str, text: str, rule: str) -> None:
    assert f"capability.{rule}" in told(path, text, "x\n")
    assert told(path, f"// {text}" if not path.endswith((".sh", "file", ".yaml")) else f"# {text}", "x\n") == set()
    assert told(path, f"{text}\n\n", text) == set()


def test_a_plain_setting_of_javascript_is_none() -> None:
    assert told("a.js", "if (process.env.NODE_ENV) x();", "y();") == set()


def test_a_moved_file_gains_nothing_and_a_file_of_another_language_all() -> None:
    assert told("b.py", "import socket", "import socket", was="a.py") == set()
    assert told("b.py", "import socket", "import socket", was="a.txt") == {"capability.network"}


def test_a_test_may_read_clocks_and_not_reach_a_network_unseen() -> None:
    text = "import os, time, socket\nif time.time() > 1: dict(os.environ)"
    assert told("tests/test_a.py", text, "x = 1") == {"capability.network"}


def test_what_cannot_be_read_is_told() -> None:
    assert told("a.js", "x" * (2 << 20) + "y") == {"capability.unread"}
    assert told("a.go", "\0") == {"capability.unread"}


@pytest.mark.parametrize(
    "text",
    [
        "code = row['code']\nreturn_ = code.upper()",
        "requests = []\nrequests.append(1)",
        "def f(socket, ssl):\n    socket.x",
    ],
)
def test_a_variable_that_is_called_like_a_module_is_none(text: str) -> None:
    assert told("src/a.py", text, "x = 1\n") == set()


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        ("code = 1\n", "code = 1\nexec(code)\n", "code"),
        ("requests = []\n", "import requests\n", "network"),
        ("x = 1\n", "import os\ndef f():\n    from json import dumps as os\nos.system('id')\n", "process"),
        ("x = 1\n", "from os import *\nsystem('id')\n", "process"),
    ],
    ids=["a variable before", "another variable before", "a name with two meanings", "all names"],
)
def test_what_would_hide_a_gain_hides_none(old: str, new: str, rule: str) -> None:
    assert f"capability.{rule}" in told("src/a.py", new, old)


def test_a_file_that_cannot_be_read_is_told_at_each_change_of_it() -> None:
    newer = "type A = int\n"
    assert told("src/a.py", newer + "import subprocess\n", newer) == {"capability.unread"}
