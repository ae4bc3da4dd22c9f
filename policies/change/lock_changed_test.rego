package evoguard_test.change.lock_changed_test

import data.evoguard_test.given

escalates(decision) if {
	some finding in decision.escalate
	finding.code == "change.lock_changed"
}

test_a_lock_escalates if escalates(given.reviewed(given.with_file({"path": "service/requirements.lock"})))

test_a_lock_at_the_root_escalates if escalates(given.reviewed(given.with_file({"path": "uv.lock"})))

test_its_old_name_escalates if {
	escalates(given.reviewed(given.with_file({"path": "a.txt", "old_path": "requirements.txt", "status": "renamed"})))
}

test_another_case_escalates if escalates(given.reviewed(given.with_file({"path": "Requirements.TXT"})))

test_nothing_else_does if not escalates(given.reviewed({}))

test_a_name_that_only_ends_so_does_not if not escalates(given.reviewed(given.with_file({"path": "my-uv.lock.md"})))

test_escalation_denies_nothing if given.allows(given.reviewed(given.with_file({"path": "uv.lock"})))

test_without_files if given.denies(given.judged_at_review(json.remove(given.review, ["files"])), "input.incomplete")
