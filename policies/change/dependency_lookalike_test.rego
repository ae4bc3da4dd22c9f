package evoguard_test.change.dependency_lookalike_test

import data.evoguard_test.given

code := "change.dependency_lookalike"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

test_no_likeness if given.allows(given.brings({}))

test_another_script_denies if {
	given.denies_term(given.brings({"alike": "requests", "how": "other script"}), code, "PyPI requests 2.31.0")
}

test_the_same_look_denies if given.denies(given.brings({"alike": "requests", "how": "same look"}), code)

test_one_edit_asks_people if {
	decision := given.brings({"alike": "requests", "how": "one edit"})
	given.allows(decision)
	found(decision, "escalate") == {"PyPI requests 2.31.0"}
}

test_no_likeness_asks_nobody if found(given.brings({}), "escalate") == set()

test_another_word_denies if given.denies(given.brings({"how": "somehow"}), code)

test_without_how if {
	question := object.union(given.review, {"dependencies": [object.remove(given.dependency, ["how"])]})
	given.denies(given.judged_at_review(question), code)
}

test_still_denied_at_admit if {
	given.denies(given.admitted({"dependencies": [object.union(given.dependency, {"how": "same look"})]}), code)
}
