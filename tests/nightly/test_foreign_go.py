"""Go's own test runner in gVisor: the toolchain is a read-only layer, the report is `go test -json`."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from evoguard_sandbox import Room
from evoguard_sandbox.foreign import ForeignSuite, run_foreign

GO = shutil.which("go")
pytestmark = [pytest.mark.needs_gvisor, pytest.mark.skipif(GO is None, reason="no Go on PATH")]
ENV = {"GOTOOLCHAIN": "local", "GOPROXY": "off", "GOFLAGS": "-mod=mod", "CGO_ENABLED": "0"}
TREE = {
    "go.mod": "module example.test/calc\n\ngo 1.21\n",
    "calc.go": "package calc\n\nfunc Double(n int) int { return n + n }\n",
    "calc_test.go": 'package calc\n\nimport "testing"\n\nfunc TestDouble(t *testing.T) {\n'
    '\tt.Run("four", func(t *testing.T) {\n\t\tif Double(4) != 8 {\n\t\t\tt.Fatal("not 8")\n\t\t}\n\t})\n}\n',
}
WRONG = "package calc\n\nfunc Double(n int) int { return 9 }\n"
LEAVES = 'package calc\n\nimport "os"\n\nfunc init() { os.Exit(0) }\n\nfunc Double(n int) int { return 9 }\n'


@pytest.fixture(scope="module")
def toolchain() -> Path:
    done = subprocess.run([str(GO), "env", "GOROOT"], capture_output=True, text=True, check=True)
    return Path(done.stdout.strip())


@pytest.mark.parametrize(
    ("calc", "word", "codes"),
    [
        (TREE["calc.go"].replace("n + n", "2 * n"), "pass", set()),
        (WRONG, "fail", {"tests.failed"}),
        (LEAVES, "tamper", {"tests.vanished", "tests.none_ran"}),
    ],
    ids=["right", "wrong", "leaves"],
)
async def test_gos_own_runner_tells_a_right_change_from_a_wrong_one(
    room: Room, toolchain: Path, calc: str, word: str, codes: set[str]
) -> None:
    base, candidate = (
        {path: (0o100644, text.encode()) for path, text in {**TREE, **more}.items()} for more in ({}, {"calc.go": calc})
    )
    argv = ("/opt/deps/0/bin/go", "test", "-json", "-vet=off", "./...")
    seen = await run_foreign(ForeignSuite(base, candidate, argv, "go", layer_dirs=(toolchain,), env=ENV), room=room)
    assert (seen.verdict, {f.code for f in seen.findings}) == (word, codes), seen.output
    assert seen.expected == ("example.test/calc::TestDouble/four", "example.test/calc::TestDouble")
    assert seen.assurance == "visible-only"
