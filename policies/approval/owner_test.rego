# METADATA
# title: Tests of approval.owner
# authors: [evoguard]
package evoguard_test.approval.owner_test

import data.evoguard_test.given

code := "approval.owner"

belongs(names) := {"owners": [{"path": "lending/scoring.py", "names": names}]}

test_nobody_owns if given.allows(given.admitted({"owners": []}))

test_owner_approved if given.allows(given.admitted(belongs(["@ada"])))

test_owner_in_other_case if given.allows(given.admitted(belongs(["@Ada"])))

test_one_of_several if given.allows(given.admitted(belongs(["@grace", "@ada"])))

test_owner_did_not_approve if given.denies(given.admitted(belongs(["@grace"])), code)

test_owner_of_another_path_only if {
	two := {"owners": [{"path": "a.py", "names": ["@ada"]}, {"path": "b.py", "names": ["@grace"]}]}
	given.denies(given.admitted(two), code)
}

test_owner_of_both if {
	two := {"owners": [{"path": "a.py", "names": ["@ada"]}, {"path": "b.py", "names": ["@ada"]}]}
	given.allows(given.admitted(two))
}

test_owner_whose_approval_ran_out if {
	given.denies(given.admitted(object.union(belongs(["@ada"]), given.with_approvals([{"expires": 1}]))), code)
}

test_owner_who_is_the_author if {
	own := {"author": {"id": "ada", "kind": "person"}, "approvals": [object.union(given.approval, {"by": "grace"})]}
	given.denies(given.admitted(object.union(belongs(["@ada"]), own)), code)
}

test_owner_behind_the_agent if {
	sponsored := object.union({"author": {"sponsors": ["ada"]}}, given.with_approvals([{}, {"by": "grace"}]))
	given.denies(given.admitted(object.union(belongs(["@ada"]), sponsored)), code)
}

test_team_that_nobody_knows if given.denies(given.admitted(belongs(["@org/payments"])), code)

test_address_that_nobody_knows if given.denies(given.admitted(belongs(["ada@example.org"])), code)

test_bare_name_is_no_person if given.denies(given.admitted(belongs(["ada"])), code)

test_team_that_is_known if {
	given.allows(given.admitted(belongs(["@org/payments"]))) with data.approval.owners as {"@org/payments": ["ada"]}
}

test_address_that_is_known if {
	given.allows(given.admitted(belongs(["a@example.org"]))) with data.approval.owners as {"a@example.org": ["ada"]}
}

test_entry_replaces_name if {
	given.denies(given.admitted(belongs(["@ada"])), code) with data.approval.owners as {"@ada": ["grace"]}
}

test_empty_entry_is_nobody if {
	given.denies(given.admitted(belongs(["@ada"])), code) with data.approval.owners as {"@ada": []}
}

test_asked_at_review if {
	decision := given.reviewed(belongs(["@grace"]))
	given.allows(decision)
	{finding.code | some finding in decision.escalate} == {code}
}

test_not_asked_at_review_where_nobody_owns if {
	count([1 | some found in given.reviewed({"owners": []}).escalate; found.code == code]) == 0
}

test_not_asked_at_admit if {
	count([1 | some found in given.admitted(belongs(["@ada"])).escalate; found.code == code]) == 0
}

test_without_owners if {
	given.judged_at_admit(json.remove(given.admit, ["owners"])).allow == false
}

test_without_names if {
	given.denies(given.admitted({"owners": [{"path": "a.py"}]}), "input.incomplete")
}
