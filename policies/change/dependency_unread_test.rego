package evoguard_test.change.dependency_unread_test

import data.evoguard_test.given

code := "change.dependency_unread"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

faulty(changes) := given.reviewed({"faults": [object.union(given.fault, changes)]})

test_none if {
	given.allows(given.reviewed({}))
	found(given.reviewed({}), "escalate") == set()
}

test_what_cannot_be_read_denies if given.denies_term(faulty({}), code, "line 3")

test_another_kind_asks_people if {
	decision := faulty({"kind": "unsupported"})
	given.allows(decision)
	found(decision, "escalate") == {"line 3"}
}

test_another_word_denies if given.denies(faulty({"kind": "odd"}), code)

test_without_kind if {
	given.denies(given.judged_at_review(object.union(given.review, {"faults": [object.remove(given.fault, ["kind"])]})), code)
}

test_without_faults if given.denies_field(given.judged_at_review(json.remove(given.review, ["faults"])), "faults")

test_still_denied_at_admit if given.denies(given.admitted({"faults": [given.fault]}), code)
