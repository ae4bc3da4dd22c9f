package evoguard_test.change.capability_test

import data.evoguard_test.given

code := "change.capability"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

test_none if found(given.reviewed({}), "escalate") == set()

test_one_asks_people if {
	decision := given.reviewed({"capabilities": [given.capability]})
	given.allows(decision)
	found(decision, "escalate") == {"capability.network"}
}

test_without_capabilities if given.denies_field(given.judged_at_review(json.remove(given.review, ["capabilities"])), "capabilities")

test_it_says_where if {
	some finding in given.reviewed({"capabilities": [given.capability]}).escalate
	finding.code == code
	finding.path == "lending/scoring.py"
	finding.msg == "it reaches other machines (line 1)"
}

test_it_is_asked_about_at_admit_too if {
	found(given.admitted({"capabilities": [given.capability]}), "escalate") == {"capability.network"}
}
