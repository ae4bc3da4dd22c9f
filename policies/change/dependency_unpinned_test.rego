package evoguard_test.change.dependency_unpinned_test

import data.evoguard_test.given

code := "change.dependency_unpinned"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

test_pinned if {
	given.allows(given.brings({}))
	found(given.brings({}), "escalate") == set()
}

test_a_floating_one_denies if given.denies_term(given.brings({"pinned": "floating"}), code, "PyPI requests 2.31.0")

test_a_version_asks_people if {
	decision := given.brings({"pinned": "version"})
	given.allows(decision)
	found(decision, "escalate") == {"PyPI requests 2.31.0"}
}

test_another_word_denies if given.denies(given.brings({"pinned": "firmly"}), code)

test_without_pinned if {
	question := object.union(given.review, {"dependencies": [object.remove(given.dependency, ["pinned"])]})
	given.denies(given.judged_at_review(question), code)
}

test_still_denied_at_admit if {
	given.denies(given.admitted({"dependencies": [object.union(given.dependency, {"pinned": "floating"})]}), code)
}
