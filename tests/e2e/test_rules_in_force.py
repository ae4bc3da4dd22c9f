"""People put their own rules in force while a real worker runs: what waits is reviewed again; a stranger follows."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from evoguard.bundle import load
from evoguard.wiring import activating
from evoguard.wiring.capsule import capsule
from real_house import RealHouse
from rules_office import locks

VERIFY = Path(__file__).parents[2] / "deploy" / "tools" / "verify_capsule.py"
pytestmark = pytest.mark.needs_gvisor


async def activate(real: RealHouse, bundle: Path) -> str:
    prepared = await activating.prepare(real.settings, real.opened, str(bundle))
    for name in ("alice", "bob"):
        activating.sign(real.opened, prepared, by=name, pen=real.pens[name])
    return prepared.activation.bundle


async def test_a_change_that_waits_is_reviewed_again_and_released_under_the_new_rules(real: RealHouse) -> None:
    change = await real.propose("p1")
    async with real.worker():
        await real.until(change, "waiting for approval")
        mine = await activate(real, locks(real.folder / "mine", "mix.lock"))
        for _ in range(600):
            if (await real.story(change)).count("approval.requested") == 2:
                break
            await asyncio.sleep(0.1)
        story = await real.story(change)
        assert story.index("approval.voided") < len(story) - 1 - story[::-1].index("approval.requested")
        await real.roll_out(change)
    bundles = [e.event.body["bundle"] for e in await real.opened.queries.events(f"change/{change}")
               if e.event.type == "change.judged"]  # fmt: skip
    assert bundles == [load().manifest.digest, mine]
    (real.folder / "c").write_bytes(await capsule(real.settings, change))
    argv = [sys.executable, "-I", str(VERIFY), str(real.folder / "c"), "--key", str(real.settings.service_pub)]
    said = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout.splitlines()[-1]) == (0, "same"), said.stdout
    assert said.stdout.count(f"the constitution of {load().manifest.digest} denies nothing") == 2
