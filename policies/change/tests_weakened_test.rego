package evoguard_test.change.tests_weakened_test

import data.evoguard_test.given

code := "change.tests_weakened"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

weak(kind) := given.reviewed({"weakened": [given.weaker], "author": {"kind": kind}})

test_none if found(given.reviewed({}), "escalate") == set()

test_an_agents_asks_people if {
	given.allows(weak("agent"))
	found(weak("agent"), "escalate") == {"tests.skipped"}
	found(weak("agent"), "notes") == set()
}

test_a_persons_is_told if {
	given.allows(weak("person"))
	found(weak("person"), "escalate") == set()
	found(weak("person"), "notes") == {"tests.skipped"}
}

test_it_says_where if {
	some finding in weak("agent").escalate
	finding.code == code
	finding.path == "tests/test_a.py"
	finding.msg == "test_a: skip (line 3)"
}

test_without_author_kind if {
	question := json.remove(object.union(given.review, {"weakened": [given.weaker]}), ["author/kind"])
	found(given.judged_at_review(question), "escalate") == {"tests.skipped"}
}

test_without_weakened if {
	given.denies_field(given.judged_at_review(json.remove(given.review, ["weakened"])), "weakened")
}
