package evoguard_test.rollout.calendar_test

import data.evoguard.calendar
import data.evoguard_test.given

code := "rollout.calendar"

# 2026-12-25 is a Friday.
friday := calendar.days("2026-12-25") * 86400

evenings := {"closed": [{"days": ["friday"], "from": 15, "to": 24, "reason": "Friday evening"}], "freezes": [], "low_risk": 100, "people": 2}

holidays := {"closed": [], "freezes": [{"from": "2026-12-20", "to": "2026-12-25", "reason": "holidays"}], "low_risk": 100, "people": 2}

asked(now, risk, dates) := decision if {
	decision := given.reviewed({"now": now, "impact": {"risk": risk}}) with data.calendar as dates
}

tells(decision) if {
	decision.quorum == 2
	some finding in decision.escalate
	finding.code == code
}

quiet(decision) if {
	decision.quorum == 1
	every finding in decision.escalate { finding.code != code }
}

test_hours_of_a_day_are_closed if {
	tells(asked(friday + (15 * 3600), 100, evenings))
	tells(asked(friday + 86399, 100, evenings))
}

test_before_and_after_they_are_open if {
	quiet(asked((friday + (15 * 3600)) - 1, 100, evenings))
	quiet(asked(friday + 86400, 100, evenings))
	quiet(asked(friday - 1, 100, evenings))
}

test_a_freeze_holds_from_its_first_to_its_last_day if {
	tells(asked(calendar.days("2026-12-20") * 86400, 100, holidays))
	tells(asked((calendar.days("2026-12-26") * 86400) - 1, 100, holidays))
	quiet(asked((calendar.days("2026-12-20") * 86400) - 1, 100, holidays))
	quiet(asked(calendar.days("2026-12-26") * 86400, 100, holidays))
}

test_little_risk_goes_on if quiet(asked(friday + (15 * 3600), 99, evenings))

test_what_ships_is_open_on_every_day if quiet(given.reviewed({"impact": {"risk": 299}}))

test_one_person_is_not_enough_at_admit if {
	decision := given.admitted({"now": friday + (15 * 3600), "impact": {"risk": 100}, "approvals": [vote("ada", friday)]}) with data.calendar as evenings
	given.denies(decision, "approval.quorum")
}

test_two_people_are if {
	votes := [vote("ada", friday), vote("grace", friday)]
	decision := given.admitted({"now": friday + (15 * 3600), "impact": {"risk": 100}, "approvals": votes}) with data.calendar as evenings
	given.allows(decision)
}

vote(name, at) := object.union(given.approval, {"by": name, "at": at, "expires": at + 86400})

test_without_time if given.denies(given.judged_at_review(json.remove(given.review, ["now"])), "input.incomplete")

test_without_risk if given.denies_field(given.judged_at_review(json.remove(given.review, ["impact/risk"])), "impact.risk")
