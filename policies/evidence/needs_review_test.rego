package evoguard_test.evidence.needs_review_test

import data.evoguard_test.given

code := "evidence.needs_review"

escalates(decision, term) if {
	some finding in decision.escalate
	finding.code == code
	finding.term == term
}

two := given.proved({"review": ["review.differs", "review.time_bomb"]})

test_nothing_to_look_at if not escalates(given.reviewed({}), "review.differs")

test_each_code_escalates if {
	escalates(two, "review.differs")
	escalates(two, "review.time_bomb")
}

test_at_admit_too if escalates(given.admitted({"evidence": {"review": ["review.differs"]}}), "review.differs")

test_escalation_denies_nothing if given.allows(two)

test_without_review if {
	given.denies_field(given.judged_at_review(json.remove(given.review, ["evidence/review"])), "evidence.review")
}

test_review_of_another_type if given.denies_field(given.proved({"review": "none"}), "evidence.review")
