package evoguard_test.evidence.advisories_test

import data.evoguard_test.given

code := "evidence.advisories"

found(decision, kind) := {finding.term | some finding in decision[kind]; finding.code == code}

day := 86400

known(changes) := object.union(given.review, {"advisories": changes})

bringing(changes) := object.union(known(changes), {"dependencies": [given.dependency]})

aged(days) := {"imported": given.review.now - (days * day), "newest": given.review.now - (days * day)}

test_a_young_one if {
	decision := given.judged_at_review(bringing({}))
	given.allows(decision)
	found(decision, "escalate") == set()
	found(decision, "notes") == set()
}

test_a_damaged_one_denies if given.denies_term(given.judged_at_review(known({"status": "damaged"})), code, "damaged")

test_none_is_told if {
	decision := given.judged_at_review(known({"status": "none"}))
	given.allows(decision)
	found(decision, "notes") == {"none"}
	found(decision, "escalate") == set()
}

test_none_asks_people_where_versions_come if {
	decision := given.judged_at_review(bringing({"status": "none"}))
	given.allows(decision)
	found(decision, "escalate") == {"none"}
	found(decision, "notes") == set()
}

test_an_old_one_asks_people_where_versions_come if {
	found(given.judged_at_review(bringing(aged(15))), "escalate") == {"old"}
	found(given.judged_at_review(bringing(aged(14))), "escalate") == set()
}

test_an_old_one_is_told if found(given.judged_at_review(known(aged(15))), "notes") == {"old"}

test_the_older_of_two_times_counts if {
	every old in [{"imported": 0}, {"newest": 0}] {
		found(given.judged_at_review(bringing(old)), "escalate") == {"old"}
	}
}

test_a_time_to_come_makes_it_no_younger if {
	found(given.judged_at_review(bringing({"imported": given.review.now + (90 * day), "newest": 0})), "escalate") == {"old"}
}

test_without_status if {
	given.denies(given.judged_at_review(json.remove(given.review, ["advisories/status"])), code)
}

test_without_advisories if given.denies(given.judged_at_review(json.remove(given.review, ["advisories"])), code)

test_without_times if {
	every field in ["imported", "newest"] {
		question := json.remove(given.review, [$"advisories/{field}"])
		given.denies_field(given.judged_at_review(question), $"advisories.{field}")
	}
}

test_data_without_days if {
	decision := data.evoguard.review with input as given.review with data.supply.advisory_days as "14"
	given.denies_field(decision, "data")
}
