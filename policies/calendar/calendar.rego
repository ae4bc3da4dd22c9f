# METADATA
# title: Days as people write them
# description: Rules are given a unix time and may use no clock and no division; days in data.json are YYYY-MM-DD, in UTC.
# authors: [evoguard]
package evoguard.calendar

# METADATA
# description: The days from 1970-01-01 to a day that is written YYYY-MM-DD, UTC, up to 2099; undefined for anything else.
days(date) := ((((365 * (year - 1970)) + count([leap | some leap in leap_years; leap < year])) + before[month - 1]) + added(year, month)) + (day - 1) if {
	[year, month, day] := parts(date)
}

# Division is not among the builtins that rules may use, so the leap years are listed.
leap_years contains year if {
	some n in numbers.range(0, 31)
	year := 1972 + (4 * n)
}

before := [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334]

default added(_, _) := 0

added(year, month) := 1 if {
	year in leap_years
	month > 2
}

parts(date) := [year, month, day] if {
	is_string(date)
	count(date) == 10
	substring(date, 4, 1) == "-"
	substring(date, 7, 1) == "-"
	year := number(substring(date, 0, 4))
	month := number(substring(date, 5, 2))
	day := number(substring(date, 8, 2))
	year >= 1970
	year <= 2099
	month >= 1
	month <= 12
	day >= 1
	day <= 31
}

number(text) := sum([value |
	some place in numbers.range(0, count(text) - 1)
	value := indexof("0123456789", substring(text, place, 1)) * tens[(count(text) - 1) - place]
]) if {
	every place in numbers.range(0, count(text) - 1) {
		indexof("0123456789", substring(text, place, 1)) >= 0
	}
}

tens := [1, 10, 100, 1000]
