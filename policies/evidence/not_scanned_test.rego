package evoguard_test.evidence.not_scanned_test

import data.evoguard_test.given

code := "evidence.not_scanned"

test_complete if given.allows(given.reviewed({}))

test_incomplete if given.denies_term(given.scanned({"status": "incomplete"}), code, "incomplete")

test_not_run if given.denies_term(given.scanned({"status": "not run"}), code, "not run")

test_another_word if given.denies(given.scanned({"status": "clean"}), code)

test_still_asked_at_admit if given.denies(given.admitted({"scan": {"status": "not run"}}), code)

test_an_unread_file_asks_people if {
	decision := given.scanned({"unread": ["lending/odd.py"]})
	given.allows(decision)
	some finding in decision.escalate
	finding.code == code
	finding.path == "lending/odd.py"
}

test_without_scan if given.denies(given.judged_at_review(json.remove(given.review, ["scan"])), code)

test_without_status if given.denies(given.judged_at_review(json.remove(given.review, ["scan/status"])), code)

test_status_of_another_type if given.denies(given.scanned({"status": true}), code)

test_without_unread if given.denies_field(given.judged_at_review(json.remove(given.review, ["scan/unread"])), "scan.unread")

test_unread_of_another_type if given.denies_field(given.scanned({"unread": "none"}), "scan.unread")
