# METADATA
# title: What several rules share
# description: Findings, folded names, the people who count, the guard paths that are touched, the quorum.
# authors: [evoguard]
package evoguard.lib

import data.evoguard.calendar

finding(code, msg, path, term) := {"code": code, "msg": msg, "path": text(path), "term": text(term)}

text(value) := value if is_string(value)

text(value) := $"({type_name(value)})" if not is_string(value)

# A value or null, never undefined: a call inside `not` runs before it, so an undefined one would silence the rule.
default get(_, _) := null

get(item, key) := object.get(item, key, null) if is_object(item)

at(path) := get(input, path)

# A package as people name it, of a dependency or an advisory.
package_of(row) := trim_space(concat(" ", [text(get(row, part)) | some part in ["ecosystem", "name", "version"]]))

# Names are compared without case, so that `codeowners` on a case-blind file system and `Ada` beside `ada` gain nothing.
fold(name) := lower(upper(name))

# The last part of a path.
last(path) := parts[count(parts) - 1] if parts := split(path, "/")

# Every name that a file has or had.
touched contains file.path if some file in input.files

touched contains file.old_path if {
	some file in input.files
	file.old_path != ""
}

# The folded folders and the name of every file that is touched, the name last. Names are cheaper to ask for than globs.
parts[path] := split(fold(path), "/") if some path in touched

# METADATA
# description: |
#   Guard globs in every form they need: `**/X` alone misses the root and `X/**` alone misses X itself, which can become
#   a symlink. A submission's own globs only add to the bundle's.
globs contains form if {
	some pattern in (asked_globs | {known | some known in data.guard.globs})
	some form in forms(pattern)
}

forms(pattern) := {folded, inside, trim_suffix(folded, "/**"), trim_suffix(inside, "/**")} if {
	folded := fold(pattern)
	inside := trim_prefix(folded, "**/")
}

asked_globs contains pattern if {
	some pattern in input.tighten.guard
	readable_glob(pattern)
}

# METADATA
# description: |
#   A glob that the engine cannot read matches nothing, in silence. OPA in WebAssembly reads some marks differently from
#   OPA itself (open braces, backslash, classes, marks of regular expressions); both refuse those by name.
readable_glob(pattern) if {
	is_string(pattern)
	pattern != ""
	closed_braces(pattern)
	every mark in ["\\", "(", ")", "[", "]", "|", "$"] { not contains(pattern, mark) }
	is_boolean(glob.match(pattern, ["/"], ""))
}

closed_braces(pattern) if {
	parts := split(pattern, "{")
	not contains(parts[0], "}")
	every part in array.slice(parts, 1, count(parts)) {
		count(split(part, "}")) == 2
	}
}

guarded contains path if {
	some path in touched
	some pattern in globs
	glob.match(pattern, ["/"], fold(path))
}

# METADATA
# description: |
#   Distinct people whose unexpired approval names this exact digest; never the author, never an agent. Who put their
#   name to an agent is the human behind its changes: another one approves them, unless data says that they may.
people contains person if {
	some vote in standing
	vote.kind == "person"
	person := fold(vote.by)
	not person in agents
	not person in behind
}

# Approvals that hold now, of this exact digest, of anybody but the author.
standing contains vote if {
	some vote in input.approvals
	vote.verdict == "approve"
	vote.digest == input.approval_digest
	vote.at <= input.now
	vote.expires > input.now
	fold(vote.by) != fold(input.author.id)
}

behind contains fold(sponsor) if {
	not data.approval.sponsors_count == true
	some sponsor in input.author.sponsors
}

# METADATA
# description: |
#   Agents whose review fills a seat: their model is known and is not the author's. Of an agent that does not say its own
#   model nobody can be told apart. Whose name also votes as a person fills none.
seats contains agent if {
	some vote in standing
	vote.kind == "agent"
	other_model(vote.model)
	agent := fold(vote.by)
	every person in input.approvals { not names_a_person(person, agent) }
}

names_a_person(vote, agent) if {
	vote.kind == "person"
	fold(vote.by) == agent
}

other_model(model) if {
	model != ""
	input.author.kind == "person"
}

other_model(model) if {
	input.author.model != ""
	model != ""
	fold(model) != fold(input.author.model)
}

seats_asked := max({data.approval.seats, input.tighten.seats})

agents contains fold(vote.by) if {
	some vote in input.approvals
	vote.kind != "person"
}

quorum := max((((({1} | quorums_asked) | guard_quorum) | risk_quorum) | closed_quorum))

quorums_asked contains asked if {
	some part in ["component", "tighten"]
	asked := input[part].quorum
	is_number(asked)
}

guard_quorum contains data.guard.people if count(guarded) > 0

risk_quorum contains step.people if {
	some step in data.risk.people
	input.impact.risk >= step.from
}

closed_quorum contains data.calendar.people if count(closed) > 0

# METADATA
# scope: document
# description: |
#   Why the calendar is closed at this moment for a change of this risk: hours of a day of the week, or a span of days
#   whose last one is closed as well. What `data.calendar.low_risk` is more than may go at any time.
closed contains reason if {
	input.impact.risk >= data.calendar.low_risk
	some entry in data.calendar.closed
	weekday(input.now) in entry.days
	hour(input.now) >= entry.from
	hour(input.now) < entry.to
	reason := entry.reason
}

closed contains reason if {
	input.impact.risk >= data.calendar.low_risk
	some entry in data.calendar.freezes
	input.now >= calendar.days(entry.from) * 86400
	input.now < (calendar.days(entry.to) + 1) * 86400
	reason := entry.reason
}

# METADATA
# description: |
#   The day of the week of a unix time, and the hour of its day (0-23), in UTC: rules that hold at certain times read
#   `lib.weekday(input.now)`. Day 0 of unix time was a Thursday.
weekday(seconds) := weekdays[(floor(seconds / 86400) + 4) % 7]

weekdays := ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"]

hour(seconds) := floor((seconds % 86400) / 3600)
