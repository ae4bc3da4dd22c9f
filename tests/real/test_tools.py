"""Tools built for real from the Go module proxy; where the proxy does not answer, one clear error."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from evoguard.adapters import go_tools
from evoguard.errors import UnavailableError

OPA = go_tools.named("opa")


@pytest.mark.needs_opa
def test_the_pinned_opa_is_what_is_built() -> None:
    path = go_tools.get(OPA)
    said = subprocess.run([path, "version"], capture_output=True, text=True, check=True).stdout
    assert f"Version: {OPA.version.removeprefix('v')}\n" in said


def test_a_proxy_that_does_not_answer_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_tools.find_go()
    for name, value in (("GOPROXY", "http://127.0.0.1:9"), ("GOMODCACHE", str(tmp_path / "modules")),
                        ("EVOGUARD_TOOLS", str(tmp_path / "tools")), ("GOFLAGS", "-modcacherw")):  # fmt: skip
        monkeypatch.setenv(name, value)
    with pytest.raises(UnavailableError, match="the Go module proxy does not answer") as caught:
        go_tools.get(OPA)
    assert caught.value.fix == go_tools.NET_MEND
    assert go_tools.built(OPA) is None
