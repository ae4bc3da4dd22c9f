package evoguard_test.main_test

import data.evoguard_test.given

keys := {"allow", "deny", "escalate", "quorum", "notes", "rules_seen"}

test_review_is_one_whole_decision if object.keys(given.reviewed({})) == keys

test_admit_is_one_whole_decision if object.keys(given.admitted({})) == keys

test_a_refusal_is_one_whole_decision if object.keys(given.judged_at_admit({})) == keys

test_every_listed_rule_was_seen if given.reviewed({}).rules_seen == data.rules

test_every_listed_rule_was_seen_on_an_empty_question if given.judged_at_admit(null).rules_seen == data.rules

test_quorum_is_never_below_one if given.judged_at_admit({}).quorum == 1

test_quorum_is_the_highest_asked if {
	given.reviewed({"component": {"quorum": 9}, "tighten": {"quorum": 10}}).quorum == 10
}

test_asked_at_another_stage_it_allows_nothing if {
	not given.judged_at_review(given.admit).allow
	not given.judged_at_admit(given.review).allow
}

test_a_rule_that_is_listed_and_was_not_seen_allows_nothing if {
	decision := given.reviewed({}) with data.rules as array.concat(data.rules, ["change.zzz"])
	decision.deny == set()
	not decision.allow
}

test_a_list_of_no_rules_allows_nothing if {
	decision := given.reviewed({}) with data.rules as []
	not decision.allow
}
