package evoguard_test.change.dependency_origin_test

import data.evoguard_test.given

code := "change.dependency_origin"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

test_from_the_index if {
	given.allows(given.brings({}))
	found(given.brings({}), "escalate") == set()
}

test_from_elsewhere_denies if {
	every origin in ["other-index", "mismatch", "insecure", "somewhere"] {
		given.denies(given.brings({"origin": origin}), code)
	}
}

test_other_content_denies if given.denies_term(given.brings({"change": "rehashed"}), code, "PyPI requests 2.31.0")

test_no_index_asks_people if {
	every origin in ["git", "url", "path"] {
		decision := given.brings({"origin": origin, "where": "git+https://a.example/x"})
		given.allows(decision)
		found(decision, "escalate") == {"PyPI requests 2.31.0"}
	}
}

test_without_origin if {
	question := object.union(given.review, {"dependencies": [object.remove(given.dependency, ["origin"])]})
	given.denies(given.judged_at_review(question), code)
}
