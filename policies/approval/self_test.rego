package evoguard_test.approval.self_test

import data.evoguard_test.given

code := "approval.self"

test_another_person if given.allows(given.admitted({}))

test_author_approves if given.denies(given.admitted({"author": {"id": "ada", "kind": "person"}}), code)

test_author_approves_in_other_case if given.denies(given.admitted({"author": {"id": "ADA"}}), code)

test_author_approves_at_review if given.denies(given.reviewed(given.with_approvals([{"by": "coder"}])), code)

test_agent_author_as_person if {
	given.denies(given.admitted(given.with_approvals([{}, {"by": "coder", "kind": "person"}])), code)
}

test_name_with_two_kinds if {
	decision := given.admitted(given.with_approvals([{}, {"kind": "agent"}]))
	given.denies(decision, code)
	given.denies(decision, "approval.quorum")
}

test_agent_beside_person if given.allows(given.admitted(given.with_approvals([{}, {"by": "reviewer", "kind": "agent"}])))

test_without_author_id if {
	given.judged_at_admit(json.remove(given.admit, ["author/id"])).allow == false
}
