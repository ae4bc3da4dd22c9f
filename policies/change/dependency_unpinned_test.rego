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

test_what_floated_before_asks_people if {
	decision := given.brings(already)
	given.allows(decision)
	found(decision, "escalate") == {"PyPI requests 2.31.0"}
	found(given.brings({"pinned_before": "floating"}), "escalate") == set()
}

test_every_firmness_of_before_counts if {
	every was in {"", "version", "digest"} {
		given.denies(given.brings(object.union(already, {"pinned_before": was})), code)
	}
}

test_a_new_one_that_floats_denies if given.denies(given.brings(object.union(already, {"change": "added"})), code)

test_a_renamed_one_that_floats_denies if given.denies(given.brings(object.union(already, {"change": "renamed"})), code)

test_elsewhere_it_floats_denies if given.denies(given.brings(object.union(already, {"origin": "git"})), code)

test_floated_without_a_field if {
	every field in {"pinned_before", "change", "origin"} {
		row := object.remove(object.union(given.dependency, already), [field])
		given.denies(given.judged_at_review(object.union(given.review, {"dependencies": [row]})), code)
	}
}

already := {"pinned": "floating", "pinned_before": "floating", "change": "changed"}

test_another_word_denies if given.denies(given.brings({"pinned": "firmly"}), code)

test_without_pinned if {
	question := object.union(given.review, {"dependencies": [object.remove(given.dependency, ["pinned"])]})
	given.denies(given.judged_at_review(question), code)
}

test_still_denied_at_admit if {
	given.denies(given.admitted({"dependencies": [object.union(given.dependency, {"pinned": "floating"})]}), code)
}
