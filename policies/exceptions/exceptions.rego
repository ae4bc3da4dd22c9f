# METADATA
# title: What is excepted, and what only watches
# description: |
#   An exemption lifts one rule's findings in its scope until a day at most 90 days ahead, and names who asked for it and
#   the two who agreed. A rule in shadow is recorded and decides nothing before the day it becomes effective. Neither
#   holds for the constitution, and one that is not whole holds for nothing.
# authors: [evoguard]
package evoguard.exceptions

import data.evoguard.lib

# A finding is set aside by an exemption, or because its rule is in shadow; else it stands.
set_aside contains finding if {
	some finding in found
	some exemption in holding
	exemption.code == finding.code
	covers(exemption.scope, finding)
}

set_aside contains finding if {
	some finding in found
	shadowed[finding.code]
}

found contains finding if some finding in data.evoguard.rules[_][_].deny

found contains finding if some finding in data.evoguard.rules[_][_].escalate

# What is set aside is still told, with the reason.
notes contains lib.finding(finding.code, $"exempt until {exemption.until} ({exemption.id}): {finding.msg}", finding.path, finding.term) if {
	some finding in found
	some exemption in holding
	exemption.code == finding.code
	covers(exemption.scope, finding)
}

notes contains lib.finding(finding.code, $"in shadow until {day}: {finding.msg}", finding.path, finding.term) if {
	some finding in found
	day := shadowed[finding.code]
}

# METADATA
# description: The exemptions that hold at this moment. The day that `until` names is the first on which one does not.
holding contains exemption if {
	some exemption in data.exemptions
	liftable(exemption.code)
	every key in ["id", "reason", "owner"] { lib.get(exemption, key) != "" }
	count({lib.fold(name) | some name in exemption.approved_by; is_string(name); name != ""}) >= 2
	left := (days(exemption.until) * 86400) - input.now
	left > 0
	left <= data.limits.exemption_days * 86400
}

shadowed[entry.code] := entry.effective_on if {
	some entry in data.shadow
	liftable(entry.code)
	days(entry.effective_on) * 86400 > input.now
}

liftable(code) if {
	code in data.rules
	is_array(data.constitution)
	count(data.constitution) > 0
	not code in data.constitution
}

# An empty scope would be everything by mistake, so it names a repository or a component; a path narrows it further.
covers(scope, finding) if {
	named := {key | some key in ["repo", "component"]; scope[key] != ""}
	count(named) > 0
	every key in named { scope[key] == input.change[key] }
	on_path(lib.get(scope, "path"), finding.path)
}

on_path(pattern, _) if pattern in {null, ""}

on_path(pattern, path) if {
	lib.readable_glob(pattern)
	glob.match(lib.fold(pattern), ["/"], lib.fold(path))
}

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
