"""Time zones apart from the code: known ones go by name, the code's own decide how moments compare and are noted."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from unit.sandbox.splitting import GUEST, link_of, linked, split_wire

from split_proxy import UnsplitError  # isort: skip

CODE = """
import datetime as dt, io, zoneinfo
HOUR = dt.timedelta(hours=1)
class Own(dt.tzinfo):
    def __init__(self, hours=1): self.hours = hours
    def utcoffset(self, moment): return self.hours * HOUR
    def dst(self, moment): return 0 * HOUR
    def tzname(self, moment): return "OWN"
class Fits(Own):
    'Whatever it is asked about is noon of the first of May, by UTC.'
    def utcoffset(self, moment): return moment.replace(tzinfo=None) - dt.datetime(2026, 5, 1, 12)
class Day(dt.datetime):
    def utcoffset(self): return 2 * HOUR
class Odd(dt.tzinfo): pass
def vienna(): return dt.datetime(2026, 5, 1, 12, tzinfo=zoneinfo.ZoneInfo("Europe/Vienna"))
def own(hour=12): return dt.datetime(2026, 5, 1, hour, tzinfo=OWN)
def fits(): return dt.datetime(2026, 5, 1, 9, tzinfo=Fits())
def day(): return Day(2026, 5, 1, 12, tzinfo=dt.UTC)
def zone(moment): return type(moment.tzinfo).__mro__[-2].__name__
def told(moment): return [moment.utcoffset(), moment.dst(), moment.tzname(), moment.astimezone(dt.UTC).hour]
def same(moment): return moment
def name(zone): return zone.nick
def key(zone): return zone.key
def unnamed():
    with open("/usr/share/zoneinfo/UTC", "rb") as file:
        return zoneinfo.ZoneInfo.from_file(io.BytesIO(file.read()))
def many(n): return [dt.datetime(2026, 5, 1) + dt.timedelta(minutes=at) for at in range(n)]
OWN = Own()
"""
MAY = dt.datetime(2026, 5, 1, 12)  # noqa: DTZ001 (each test gives it a zone)


class Ours(dt.tzinfo):
    """A zone of the tests' own."""

    nick = "ours"

    def utcoffset(self, _moment: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(hours=3)

    def dst(self, _moment: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta()

    def tzname(self, _moment: dt.datetime | None) -> str:
        return "OURS"


@pytest.fixture(scope="module")
def module() -> Iterator[Any]:
    with linked(CODE) as made:
        yield made


@pytest.fixture
def cand(module):
    link_of(module).begin()
    return module


def noted(cand):
    return link_of(cand).unsplit


def test_a_zone_of_the_database_travels_by_its_name(cand):
    before = noted(cand)
    moment = cand.vienna()
    assert moment.tzinfo is ZoneInfo("Europe/Vienna")
    assert moment == dt.datetime(2026, 5, 1, 10, tzinfo=dt.UTC)
    assert cand.key(ZoneInfo("Asia/Tokyo")) == "Asia/Tokyo"
    assert cand.told(MAY.replace(tzinfo=ZoneInfo("Asia/Tokyo")))[0] == dt.timedelta(hours=9)
    assert noted(cand) == before


def test_a_zone_without_a_name_crosses_as_the_codes_own(cand):
    assert dt.datetime.utcoffset(MAY.replace(tzinfo=cand.unnamed())) == dt.timedelta()


def test_a_zone_without_a_name_of_the_tests_does_not_cross(cand):
    with open("/usr/share/zoneinfo/UTC", "rb") as file:
        unnamed = ZoneInfo.from_file(file)
    before = noted(cand)
    with pytest.raises(UnsplitError):
        cand.same(MAY.replace(tzinfo=unnamed))
    assert noted(cand) == before + 1


def test_a_zone_of_the_tests_own_serves_the_code_and_comes_back(cand):
    before, ours = noted(cand), Ours()
    moment = MAY.replace(tzinfo=ours)
    assert cand.zone(moment) == "tzinfo"
    assert cand.told(moment) == [dt.timedelta(hours=3), dt.timedelta(), "OURS", 9]
    assert cand.same(moment).tzinfo is ours
    assert cand.name(ours) == "ours"
    assert noted(cand) == before


def test_a_moment_in_the_codes_own_zone_compares_by_what_the_code_gave(cand):
    before = noted(cand)
    moment = cand.own()
    assert isinstance(moment.tzinfo, cand.Own)
    assert isinstance(moment.tzinfo, dt.tzinfo)
    assert moment == dt.datetime(2026, 5, 1, 11, tzinfo=dt.UTC)
    assert (moment.tzname(), moment.isoformat()) == ("OWN", "2026-05-01T12:00:00+01:00")
    assert moment == cand.own()
    assert moment != cand.own(13)
    assert noted(cand) == before


def test_a_zone_that_fits_itself_to_what_is_expected_proves_nothing(cand):
    before = noted(cand)
    wrong = cand.fits()  # nine o'clock, and the tests want noon in another zone of the code's
    assert wrong == MAY.replace(tzinfo=dt.UTC)  # that much it can say of its own moment: it is an instant like others
    assert noted(cand) == before
    assert wrong == MAY.replace(hour=17, tzinfo=cand.Fits())
    assert noted(cand) > before


@pytest.mark.parametrize(
    "use",
    [
        lambda zone: MAY.replace(tzinfo=zone) == MAY.replace(tzinfo=dt.UTC),
        lambda zone: MAY.replace(tzinfo=zone) - MAY.replace(tzinfo=dt.UTC),
        lambda zone: MAY.replace(tzinfo=dt.UTC).astimezone(zone),
        lambda zone: MAY.replace(tzinfo=zone).isoformat(),
        lambda zone: MAY.replace(tzinfo=zone).tzname(),
        lambda zone: MAY.replace(tzinfo=zone).timestamp(),
        lambda zone: zone.utcoffset(MAY),
        lambda zone: hash(MAY.replace(tzinfo=zone)),
    ],
)
def test_whatever_tells_the_codes_zone_a_new_moment_is_noted(cand, use):
    before = noted(cand)
    use(cand.OWN)
    assert noted(cand) > before


def test_moments_that_are_given_by_the_hundred_are_no_excuse(cand):
    cand.many(100)
    before = noted(cand)
    assert MAY.replace(hour=0, minute=5, tzinfo=cand.OWN).utcoffset() == dt.timedelta(hours=1)
    assert noted(cand) == before + 1


def test_what_was_given_in_another_test_is_new_in_this_one(cand):
    moment = cand.own()
    link_of(cand).begin()
    before = noted(cand)
    moment.utcoffset()
    assert noted(cand) == before + 1


def test_a_moment_of_the_codes_own_class_and_a_zone_without_an_offset(cand):
    assert cand.day().utcoffset() == dt.timedelta(hours=2)
    with pytest.raises(NotImplementedError):
        MAY.replace(tzinfo=cand.Odd()).utcoffset()


@pytest.mark.parametrize(
    "packed",
    [["zi", "../../etc/passwd"], ["zi", "/etc/localtime"], ["zi", "no/such/zone"], ["zi", None], ["zi", 7],
     ["zi"], ["zi", "a" * 300], ["zi", "UTC", "UTC"], ["zi", "Europe/Vienna\x00"]],
)  # fmt: skip
def test_a_zone_name_that_is_none_is_not_of_this_wire(packed):
    with pytest.raises((split_wire.WireError, *split_wire.BROKEN)):
        split_wire.Unpack(None).value(packed)


def test_zones_are_loaded_only_where_there_is_one():
    code = f"import sys; sys.path.append({str(GUEST)!r}); import split_wire; print('zoneinfo' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
