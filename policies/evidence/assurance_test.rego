package evoguard_test.evidence.assurance_test

import data.evoguard_test.given

code := "evidence.assurance"

asking(what, given_level) := given.reviewed({
	"tighten": {"assurance": what},
	"evidence": {"assurance": given_level},
})

test_nothing_asked if given.allows(asking("", "visible-only"))

test_split_asked_and_given if given.allows(asking("split", "split"))

test_more_given_than_asked if given.allows(asking("split", "held-out"))

test_less_than_asked if given.denies_term(asking("split", "visible-only"), code, "visible-only")

test_held_out_asked if given.denies(asking("held-out", "split"), code)

test_asking_for_less_loosens_nothing if {
	decision := given.denies(data.evoguard.review, code) with input as object.union(given.review, {
		"tighten": {"assurance": "visible-only"},
		"evidence": {"assurance": "visible-only"},
	})
		with data.evidence.assurance as "split"
	decision
}

test_without_assurance if given.denies(given.judged_at_review(json.remove(given.review, ["evidence/assurance"])), code)
