package evoguard_test.change.licence_test

import data.evoguard_test.given

code := "change.licence"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

new(licence, choices) := given.brings({"change": "added", "licence": licence, "licences": choices})

test_allowed if {
	given.allows(new("MIT", [["MIT"]]))
	found(new("MIT", [["MIT"]]), "escalate") == set()
}

test_another_denies if given.denies_term(new("AGPL-3.0-only", [["AGPL-3.0-only"]]), code, "PyPI requests 2.31.0")

test_one_of_several_is_enough if given.allows(new("MIT OR GPL-2.0-only", [["MIT"], ["GPL-2.0-only"]]))

test_all_that_hold_together if given.denies(new("MIT AND GPL-2.0-only", [["GPL-2.0-only", "MIT"]]), code)

test_no_licences_in_a_choice_is_none if given.denies(new("?", [[]]), code)

test_an_unknown_one_asks_people if {
	decision := new("SEE LICENSE IN x", [])
	given.allows(decision)
	found(decision, "escalate") == {"PyPI requests 2.31.0"}
}

test_only_of_new_ones if {
	every change in ["changed", "rehashed"] {
		not given.denies(given.brings({"change": change, "licences": [["AGPL-3.0-only"]]}), code)
		found(given.brings({"change": change, "licences": []}), "escalate") == set()
	}
}

test_of_a_renamed_one_too if given.denies(given.brings({"change": "renamed", "licences": [["AGPL-3.0-only"]]}), code)

test_not_of_actions_and_of_the_project if {
	found(given.brings({"change": "added", "licences": [], "ecosystem": "GitHub Actions"}), "escalate") == set()
	found(given.brings({"change": "added", "licences": [], "own": true}), "escalate") == set()
}

test_without_licences if {
	question := object.union(given.review, {"dependencies": [object.remove(given.dependency, ["licences"])]})
	given.denies_field(given.judged_at_review(question), "dependencies[0].licences")
}

test_licences_of_another_type if {
	given.denies_field(given.brings({"licences": [["MIT", 7]]}), "dependencies[0].licences")
}

test_data_without_a_list if {
	decision := data.evoguard.review with input as given.review with data.supply.licences as "MIT"
	given.denies_field(decision, "data")
}
