package evoguard_test.exceptions_test

import data.evoguard.calendar
import data.evoguard.exceptions
import data.evoguard_test.given

exemption := {
	"id": "EX-1",
	"code": "change.unbounded",
	"scope": {"repo": "lending", "component": "", "path": ""},
	"reason": "one large move",
	"owner": "ada",
	"approved_by": ["ada", "bob"],
	"until": "2026-10-01",
}

too_many := {"totals": {"files": 2000, "added": 3, "deleted": 1, "omitted": 0}}

codes(findings) := {finding.code | some finding in findings}

decided(patch, exemptions) := decision if {
	decision := given.reviewed(patch) with data.tried.exemptions as exemptions
}

test_without_an_exemption_it_is_denied if {
	decision := decided(too_many, [])
	codes(decision.deny) == {"change.unbounded"}
	not decision.allow
}

test_an_exemption_lifts_it_and_is_told if {
	decision := decided(too_many, [exemption])
	decision.allow
	decision.deny == set()
	some note in decision.notes
	note.code == "change.unbounded"
	startswith(note.msg, "exempt until 2026-10-01 (EX-1): ")
}

test_it_lifts_nothing_else if {
	decision := decided(object.union(too_many, {"secrets": [given.secret]}), [exemption])
	codes(decision.deny) == {"change.secret"}
}

refused_with(patch) if {
	decision := decided(too_many, [object.union(exemption, patch)])
	codes(decision.deny) == {"change.unbounded"}
	not decision.allow
}

test_not_of_another_code if refused_with({"code": "change.secret"})

test_not_of_a_code_that_nobody_has if refused_with({"code": "change.*"})

test_not_without_a_reason if refused_with({"reason": ""})

test_not_without_an_owner if refused_with({"owner": ""})

test_not_without_an_id if refused_with({"id": ""})

test_not_with_one_person if refused_with({"approved_by": ["ada"]})

test_not_with_one_person_twice if refused_with({"approved_by": ["ada", "ADA"]})

test_not_without_an_end if refused_with({"until": ""})

test_not_with_an_end_that_is_no_day if refused_with({"until": "2026-1O-01"})

test_not_with_an_end_of_another_form if refused_with({"until": 1790812800})

test_not_on_the_day_that_it_ends if refused_with({"until": "2026-09-21"})

test_on_the_day_before if decided(too_many, [object.union(exemption, {"until": "2026-09-22"})]).allow

test_not_further_ahead_than_is_allowed if refused_with({"until": "2026-12-21"})

test_as_far_ahead_as_is_allowed if decided(too_many, [object.union(exemption, {"until": "2026-12-20"})]).allow

test_not_for_another_repository if refused_with({"scope": {"repo": "other", "component": "", "path": ""}})

test_not_for_another_component if refused_with({"scope": {"repo": "lending", "component": "other", "path": ""}})

test_for_its_component if {
	decided(too_many, [object.union(exemption, {"scope": {"repo": "", "component": "scoring", "path": ""}})]).allow
}

test_not_for_everything if refused_with({"scope": {"repo": "", "component": "", "path": ""}})

test_not_without_a_scope if {
	codes(decided(too_many, [object.remove(exemption, ["scope"])]).deny) == {"change.unbounded"}
}

at_path(pattern) := decision if {
	secret := {"secrets": [given.secret]}
	scope := {"repo": "lending", "component": "", "path": pattern}
	decision := decided(secret, [object.union(exemption, {"code": "change.secret", "scope": scope})])
}

test_on_its_path if at_path("lending/*.py").allow

test_not_on_another_path if codes(at_path("docs/**").deny) == {"change.secret"}

test_not_by_a_glob_that_cannot_be_read if codes(at_path("lending/[a-z]*.py").deny) == {"change.secret"}

test_never_of_the_constitution if {
	held := {"author": {"id": "coder", "kind": "agent", "held": true}}
	decision := decided(held, [object.union(exemption, {"code": "author.held"})])
	codes(decision.deny) == {"author.held"}
}

test_never_of_the_constitution_where_nobody_says_what_that_is if {
	held := {"author": {"id": "coder", "kind": "agent", "held": true}}
	exempt := [object.union(exemption, {"code": "author.held"})]
	every said in [[], null, 5, "author.held", {"author": true}] {
		decision := given.reviewed(held) with data.tried.exemptions as exempt with data.constitution as said
		codes(decision.deny) == {"author.held"}
	}
}

test_an_escalation_is_lifted_as_well if {
	lock := {"files": [object.union(given.file, {"path": "uv.lock"})]}
	codes(decided(lock, []).escalate) == {"change.lock_changed"}
	decided(lock, [object.union(exemption, {"code": "change.lock_changed"})]).escalate == set()
}

shadowed(patch, code, day) := decision if {
	decision := given.reviewed(patch) with data.tried.shadow as [{"code": code, "effective_on": day}]
}

test_a_rule_in_shadow_is_told_and_decides_nothing if {
	decision := shadowed(too_many, "change.unbounded", "2026-09-22")
	decision.allow
	some note in decision.notes
	startswith(note.msg, "in shadow until 2026-09-22: ")
}

test_it_decides_from_its_day_on if {
	codes(shadowed(too_many, "change.unbounded", "2026-09-21").deny) == {"change.unbounded"}
}

test_no_day_no_shadow if codes(shadowed(too_many, "change.unbounded", "").deny) == {"change.unbounded"}

test_the_constitution_has_no_shadow if {
	held := {"author": {"id": "coder", "kind": "agent", "held": true}}
	codes(shadowed(held, "author.held", "2026-12-01").deny) == {"author.held"}
}

test_a_rule_in_shadow_was_still_seen if {
	shadowed({}, "change.unbounded", "2026-09-22").rules_seen == data.rules
}

test_a_note_names_the_exemption_that_lifts_and_no_other if {
	others := [
		object.union(exemption, {"id": "EX-2", "code": "change.secret"}),
		object.union(exemption, {"id": "EX-3", "scope": {"repo": "other", "component": "", "path": ""}}),
	]
	decision := decided(too_many, array.concat([exemption], others))
	{substring(note.msg, 0, 32) | some note in decision.notes; startswith(note.msg, "exempt")} == {"exempt until 2026-10-01 (EX-1): "}
}

ending(patch, seconds_left) := decision if {
	day := calendar.days("2026-09-22") * 86400
	question := object.union(too_many, {"now": day - seconds_left})
	decision := decided(question, [object.union(exemption, patch)])
}

test_it_holds_until_the_last_second_of_the_day_before if {
	ending({"until": "2026-09-22"}, 1).allow
	not ending({"until": "2026-09-22"}, 0).allow
}

test_it_holds_from_the_very_second_that_is_not_too_far_ahead if {
	ending({"until": "2026-12-21"}, 0).allow
	not ending({"until": "2026-12-21"}, 1).allow
}

test_a_shadow_ends_with_the_second_in_which_its_day_begins if {
	day := calendar.days("2026-09-22") * 86400
	entry := [{"code": "change.unbounded", "effective_on": "2026-09-22"}]
	before := given.reviewed(object.union(too_many, {"now": day - 1})) with data.tried.shadow as entry
	at := given.reviewed(object.union(too_many, {"now": day})) with data.tried.shadow as entry
	before.allow
	not at.allow
}

test_a_code_that_no_rule_has_is_not_liftable if {
	not exceptions.liftable("change.nothing")
	exceptions.liftable("change.unbounded")
}

test_one_rule_of_the_constitution_is_enough_to_say_what_it_is if {
	decision := decided(too_many, [exemption]) with data.constitution as ["author.held"]
	decision.allow
}
