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

shared(percent, apart, expected) := given.reviewed({
	"tighten": {"assurance": "split", "split_percent": percent},
	"evidence": {"assurance": "visible-only", "split": apart, "expected": expected, "run": expected},
})

test_own_share_is_reached if given.allows(shared(30, 3, 10))

test_own_share_is_not_reached if given.denies(shared(30, 2, 10), code)

test_own_share_is_rounded_for_nobody if given.denies(shared(34, 33, 100), code)

test_no_share_is_asked if given.denies(shared(0, 10, 10), code)

test_nothing_expected if given.denies(shared(30, 0, 0), code)

test_a_share_is_not_held_out if {
	given.denies(
		given.reviewed({
			"tighten": {"assurance": "held-out", "split_percent": 1},
			"evidence": {"assurance": "visible-only", "split": 12},
		}),
		code,
	)
}

test_a_share_does_not_lower_the_bundles_floor if {
	decision := given.denies(data.evoguard.review, code) with input as object.union(given.review, {
		"tighten": {"assurance": "split", "split_percent": 1},
		"evidence": {"assurance": "visible-only", "split": 6},
	})
		with data.evidence.assurance as "split"
	decision
}

test_without_split if given.denies_field(given.judged_at_review(json.remove(given.review, ["evidence/split"])), "evidence.split")

test_without_split_percent if {
	given.denies_field(given.judged_at_review(json.remove(given.review, ["tighten/split_percent"])), "tighten.split_percent")
}

split_of(evidence, percent) := given.reviewed({"evidence": evidence, "tighten": {"assurance": "split", "split_percent": percent}})

test_one_percent_and_one_test if {
	given.allows(split_of({"assurance": "visible-only", "expected": 1, "run": 1, "split": 1}, 1))
}

test_exactly_as_many_as_are_asked_for_and_one_less if {
	given.allows(split_of({"assurance": "visible-only", "expected": 1000, "run": 1000, "split": 300}, 30))
	not split_of({"assurance": "visible-only", "expected": 1000, "run": 1000, "split": 299}, 30).allow
}
