"""What a scan finds is for the policies to judge; no scan is no yes."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from evoguard.domain.scan import Hit, Scan
from evoguard.errors import UnavailableError
from evoguard.ports.forge import Blob
from fakes import FakeScanner, FakeSources
from house import COMPONENT, HEAD, House
from unit.flow.test_what_people_look_at import artifact, body

FAULT = Hit("python.decoded_code", "error", "lending/scoring.py", 7, "code is run that was decoded from data", "exec()")


def scanning(house: House, **told) -> None:
    house.scanner = FakeScanner(**told)
    house.again()


def hit(severity: str) -> Hit:
    return Hit("python.eval", severity, "lending/scoring.py", 3, "data is run as code")  # type: ignore[arg-type]


async def test_a_fault_refuses_and_the_record_says_where(house: House) -> None:
    scanning(house, new=(FAULT,))
    change = await house.submit()
    assert (await house.drive(change)).outcome == "refused"
    refused = await body(house, change, "change.refused")
    assert [(f["code"], f["path"], f["term"]) for f in refused["findings"]] == [
        ("change.scan_finding", "lending/scoring.py", "python.decoded_code")
    ]
    scanned = await body(house, change, "candidate.scanned")
    assert (scanned["status"], scanned["new"], scanned["asked"]) == ("complete", 1, 1)
    assert (await artifact(house, scanned["scan"]))["new"] == [FAULT.as_json()]
    events = await house.queries.events(f"change/{change}")
    reasons = [e.event.reason for e in events if e.event.type == "candidate.scanned"]
    assert reasons == ["lending/scoring.py:7: code is run that was decoded from data"]


async def test_the_changed_files_are_what_is_scanned(house: House) -> None:
    change = await house.submit()
    await house.drive(change)
    assert house.scanner.seen == [[("lending/scoring.py", "lending/scoring.py")]]


@pytest.mark.parametrize(("severity", "where"), [("warning", "escalate"), ("info", "notes")])
async def test_lesser_faults_ask_people_or_are_told(house: House, severity: str, where: str) -> None:
    scanning(house, new=(hit(severity),))
    change = await house.submit()
    await house.drive(change)
    assert (await house.story(change))[-1] == "approval.requested"
    record = await artifact(house, (await body(house, change, "change.judged"))["decision"])
    told = [f["code"] for f in record["decision"][where] if f["code"] != "evidence.advisories"]
    assert told == ["change.scan_finding"]
    assert record["question"]["hits"] == [hit(severity).as_json()]


@pytest.mark.parametrize("status", ["incomplete", "not run"])
async def test_no_whole_scan_is_refused(house: House, status: str) -> None:
    scanning(house, status=status)
    change = await house.submit()
    assert (await house.drive(change)).outcome == "refused"
    refused = await body(house, change, "change.refused")
    assert [(f["code"], f["term"]) for f in refused["findings"]] == [("evidence.not_scanned", status)]


async def test_a_file_that_was_not_read_is_for_people_to_look_at(house: House) -> None:
    scanning(house, unread=("lending/scoring.py",))
    change = await house.submit()
    await house.drive(change)
    record = await artifact(house, (await body(house, change, "change.judged"))["decision"])
    assert [(f["code"], f["path"]) for f in record["decision"]["escalate"]] == [
        ("evidence.not_scanned", "lending/scoring.py")
    ]


async def test_more_faults_than_can_be_listed_are_refused(house: House) -> None:
    scanning(house, new=tuple(hit("info") for _ in range(205)))
    change = await house.submit()
    assert (await house.drive(change)).outcome == "refused"
    refused = await body(house, change, "change.refused")
    assert [(f["code"], f["term"]) for f in refused["findings"]] == [("change.scan_finding", "5 more")]


@dataclass
class Down(FakeScanner):
    """A scanner for which no sandbox can be started."""

    async def scan(self, base, candidate, changed) -> Scan:
        raise UnavailableError("sandbox", "no sandbox could be started", fix="see `evoguard doctor`")


async def test_no_scanner_at_all_leaves_the_gate_shut(house: House) -> None:
    house.scanner = Down()
    house.again()
    change = await house.submit()
    with pytest.raises(UnavailableError):
        await house.drive(change)
    assert "candidate.checked" not in await house.story(change)


@dataclass
class Texts(FakeSources):
    """A repository whose file reads so at the base, and so at the head."""

    old: str = ""
    new: str = ""

    async def files(self, repo, commit, /):
        return {"lending/scoring.py": Blob("100644", (self.new if commit == HEAD else self.old).encode())}


TROJAN = 'if level != "user\u202e \u2066// admins only\u2069 \u2066":\n    pass\n'


def reading(house: House, old: str, new: str) -> None:
    house.sources = Texts(COMPONENT, old=old, new=new)
    house.again()


async def test_text_that_hides_what_it_does_is_refused(house: House) -> None:
    reading(house, "x = 1\n", TROJAN)
    change = await house.submit()
    assert (await house.drive(change)).outcome == "refused"
    refused = await body(house, change, "change.refused")
    assert [(f["code"], f["term"]) for f in refused["findings"]] == [("change.scan_finding", "text.bidi")]


async def test_what_was_hidden_before_is_the_bases_affair(house: House) -> None:
    reading(house, TROJAN, "x = 1\n" + TROJAN)
    change = await house.submit()
    await house.drive(change)
    assert (await house.story(change))[-1] == "approval.requested"


async def test_what_is_unusual_in_changed_code_asks_people(house: House) -> None:
    reading(house, "MAX_LOAN = 500\n", "MAX_LOAN = 50_000\n")
    change = await house.submit()
    await house.drive(change)
    assert (await house.story(change))[-1] == "approval.requested"
    hits = (await artifact(house, (await body(house, change, "change.judged"))["decision"]))["question"]["hits"]
    assert [(hit["rule"], hit["severity"], hit["line"]) for hit in hits] == [("limit.loosened", "warning", 1)]
