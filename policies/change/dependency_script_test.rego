package evoguard_test.change.dependency_script_test

import data.evoguard_test.given

code := "change.dependency_script"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

test_no_script if found(given.brings({}), "escalate") == set()

test_a_script_asks_people if {
	decision := given.brings({"scripts": true})
	given.allows(decision)
	found(decision, "escalate") == {"PyPI requests 2.31.0"}
}

test_without_scripts if {
	question := object.union(given.review, {"dependencies": [object.remove(given.dependency, ["scripts"])]})
	decision := given.judged_at_review(question)
	decision.allow == false
	found(decision, "escalate") == {"PyPI requests 2.31.0"}
}

test_a_script_of_the_project_itself_asks_people if {
	found(given.brings({"scripts": true, "own": true}), "escalate") == {"PyPI requests 2.31.0"}
}
