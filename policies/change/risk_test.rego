package evoguard_test.change.risk_test

import data.evoguard_test.given

code := "change.risk"

escalates(decision, term) if {
	some finding in decision.escalate
	finding.code == code
	finding.term == term
}

test_a_small_risk_is_silent if {
	decision := given.reviewed({"impact": {"risk": 399}})
	given.allows(decision)
	not escalates(decision, "risk")
	not escalates(decision, "unknown")
}

test_from_the_limit_on_people_look if {
	decision := given.reviewed({"impact": {"risk": 400}})
	given.allows(decision)
	escalates(decision, "risk")
}

test_an_unknown_reach_is_named if {
	decision := given.reviewed({"impact": {"known": false, "unknown": ["lending/odd.py"]}})
	some finding in decision.escalate
	finding.code == code
	finding.path == "lending/odd.py"
}

test_unknown_without_a_name_is_told if escalates(given.reviewed({"impact": {"known": false}}), "unknown")

test_at_admit_too if escalates(given.admitted({"impact": {"risk": 400}}), "risk")

test_a_missing_answer_is_no_yes if {
	escalates(given.judged_at_review(json.remove(given.review, ["impact/known"])), "unknown")
}

test_without_risk if given.denies_field(given.judged_at_review(json.remove(given.review, ["impact/risk"])), "impact.risk")

test_without_unknown if {
	given.denies_field(given.judged_at_review(json.remove(given.review, ["impact/unknown"])), "impact.unknown")
}

quorum_of(risk) := given.reviewed({"impact": {"risk": risk}}).quorum

test_quorum_rises_with_risk if {
	quorum_of(499) == 1
	quorum_of(500) == 2
	quorum_of(1000) == 2
}

test_one_person_is_not_enough_for_a_risky_change if {
	given.denies(given.admitted({"impact": {"risk": 500}}), "approval.quorum")
}

test_two_people_are if {
	given.allows(given.admitted(object.union({"impact": {"risk": 500}}, given.with_approvals([{}, {"by": "grace"}]))))
}

test_a_component_may_ask_for_more if {
	given.reviewed({"impact": {"risk": 500}, "component": {"quorum": 3}}).quorum == 3
}
