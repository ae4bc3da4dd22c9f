package evoguard_test.change.dependency_added_test

import data.evoguard_test.given

code := "change.dependency_added"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

test_a_changed_one_is_not_new if found(given.brings({}), "escalate") == set()

test_a_new_one_asks_people if {
	decision := given.brings({"change": "added", "before": ""})
	given.allows(decision)
	found(decision, "escalate") == {"PyPI requests 2.31.0"}
}

test_another_name_asks_people if {
	decision := given.brings({"change": "renamed", "alias": "lodash"})
	some finding in decision.escalate
	finding.code == code
	finding.msg == "installed under the name lodash"
}

test_the_project_itself_is_not_new if found(given.brings({"change": "added", "own": true}), "escalate") == set()

test_none if found(given.reviewed({}), "escalate") == set()

test_without_dependencies if {
	given.denies_field(given.judged_at_review(json.remove(given.review, ["dependencies"])), "dependencies")
}

test_without_change if {
	question := object.union(given.review, {"dependencies": [object.remove(given.dependency, ["change"])]})
	given.denies_field(given.judged_at_review(question), "dependencies[0].change")
}

test_without_own if {
	question := object.union(given.review, {"dependencies": [object.remove(given.dependency, ["own"])]})
	given.denies_field(given.judged_at_review(question), "dependencies[0].own")
}
