package evoguard_test.change.reverted_before_test

import data.evoguard_test.given

code := "change.reverted_before"

found(decision) := [finding.msg | some finding in decision.escalate; finding.code == code]

days_ago(days) := given.review.now - (days * 86400)

after(rows) := given.reviewed({"prior": {"reverted": rows}})

pair(days) := [given.taken_back, {"change": "ch-older", "at": days_ago(days)}]

test_none if found(given.reviewed({})) == []

test_one_is_no_habit if found(after([given.taken_back])) == []

test_two_in_a_month_are_told if {
	decision := after(pair(29))
	given.allows(decision)
	found(decision) == ["2 changes of this component were taken back in 30 days: ch-before ch-older"]
}

test_the_day_on_which_it_is_forgotten if {
	found(after(pair(30))) == []
	second := {"change": "ch-older", "at": days_ago(30) + 1}
	count(found(after([given.taken_back, second]))) == 1
}

test_the_same_change_counts_once if found(after([given.taken_back, given.taken_back])) == []

test_at_admit_too if count(found(given.admitted({"prior": {"reverted": pair(1)}}))) == 1

test_how_many_and_how_long_are_data if {
	count(found(after([given.taken_back]))) == 1 with data.prior.reverts as 1
	count(found(after(pair(40)))) == 1 with data.prior.days as 50
	found(after(pair(29))) == [] with data.prior.days as 10
}

test_without_reverted if {
	decision := given.judged_at_review(json.remove(given.review, ["prior/reverted"]))
	given.denies_field(decision, "prior.reverted")
}

test_a_row_that_lost_a_field_denies if {
	given.denies_field(after([{"at": 1}]), "prior.reverted[0].change")
	given.denies_field(after([{"change": "ch-before"}]), "prior.reverted[0].at")
}
