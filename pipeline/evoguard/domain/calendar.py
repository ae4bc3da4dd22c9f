"""When nobody wants to be called: the calendar that a bundle's data hold. Rules read it; here it is proved whole.

A day that no rule knows, or hours that never come, would leave the calendar open in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date

from evoguard.domain.canonical import Json

WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
KEYS = {"closed", "freezes", "low_risk", "people"}
HOURS, SPAN = {"days", "from", "to", "reason"}, {"from", "to", "reason"}
EPOCH = date(1970, 1, 1)
"""Rules count days from here on."""
MOST_ROWS, MOST_RISK, MOST_PEOPLE, HOURS_OF_DAY = 100, 1000, 20, 24


def wrong(data: Mapping[str, Json]) -> str:
    """Return what is wrong with the calendar that a bundle's data hold, or an empty text; a bundle may hold none."""
    if "calendar" not in data:
        return ""
    table = data["calendar"]
    if not isinstance(table, Mapping) or set(table) != KEYS:
        return f"data.calendar: it has exactly {', '.join(sorted(KEYS))}"
    if not _whole(table["low_risk"], 0, MOST_RISK) or not _whole(table["people"], 1, MOST_PEOPLE):
        return f"data.calendar: low_risk is 0 to {MOST_RISK}, people 1 to {MOST_PEOPLE}"
    for name, check in (("closed", _hours_wrong), ("freezes", _span_wrong)):
        rows = table[name]
        if not isinstance(rows, list) or len(rows) > MOST_ROWS:
            return f"data.calendar.{name}: a list of at most {MOST_ROWS}"
        for at, row in enumerate(rows):
            if why := check(row):
                return f"data.calendar.{name}[{at}]: {why}"
    return ""


def _hours_wrong(row: Json) -> str:
    if not isinstance(row, Mapping) or set(row) != HOURS or not _said(row["reason"]):
        return f"it has {', '.join(sorted(HOURS))}, and a reason"
    days, first, last = row["days"], row["from"], row["to"]
    if not isinstance(days, list) or not days or not all(day in WEEKDAYS for day in days):
        return f"days are of {', '.join(WEEKDAYS)}"
    if not _whole(first, 0, HOURS_OF_DAY - 1) or not _whole(last, 1, HOURS_OF_DAY) or int(str(first)) >= int(str(last)):
        return "from and to are hours of one day (UTC), 0 to 24, and from comes first"
    return ""


def _span_wrong(row: Json) -> str:
    if not isinstance(row, Mapping) or set(row) != SPAN or not _said(row["reason"]):
        return f"it has {', '.join(sorted(SPAN))}, and a reason"
    first, last = day(row["from"]), day(row["to"])
    if first is None or last is None or not EPOCH <= first <= last:
        return "from and to are days, such as 2026-12-31, up to 2099, and from comes first"
    return ""


def day(text: Json) -> date | None:
    """Return the day that a text names as YYYY-MM-DD, up to 2099, or None for anything else."""
    try:
        found = date.fromisoformat(text) if isinstance(text, str) and len(text) == len("2026-12-31") else None
    except ValueError:
        return None
    return found if found is not None and found.year <= 2099 else None


def _said(text: Json) -> bool:
    return isinstance(text, str) and 0 < len(text) <= 200


def _whole(value: Json, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
