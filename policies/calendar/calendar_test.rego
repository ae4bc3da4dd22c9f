package evoguard_test.calendar_test

import data.evoguard.calendar

test_days if {
	calendar.days("1970-01-01") == 0
	calendar.days("2000-02-29") == 11016
	calendar.days("2000-03-01") == 11017
	calendar.days("2026-09-21") == 20717
	calendar.days("2024-12-31") == 20088
	calendar.days("2099-12-31") == 47481
}

test_no_days if {
	every text in ["", "2026-9-21", "2026-13-01", "2026-00-10", "2026-01-00", "2026-01-32", "1969-12-31", "2100-01-01", "2026/01/01", "20260101 "] {
		not calendar.days(text)
	}
}

test_the_first_day_of_each_month if {
	first := [20454, 20485, 20513, 20544, 20574, 20605, 20635, 20666, 20697, 20727, 20758, 20788]
	months := ["01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"]
	every n in numbers.range(0, 11) {
		calendar.days($"2026-{months[n]}-01") == first[n]
	}
}

test_no_days_for_what_is_nearly_one if {
	every text in ["2026-09-211", "2026-09-2", "2026x09-21", "2026-09x21", "2026-1x-01", "x026-09-21", "202x-09-21"] {
		not calendar.days(text)
	}
	every other in [20260921, null, ["2026-09-21"], ["2", "0", "2", "6", "-", "0", "9", "-", "2", "1"]] {
		not calendar.days(other)
	}
}
