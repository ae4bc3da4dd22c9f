package evoguard_test.approval.quorum_test

import data.evoguard_test.given

code := "approval.quorum"

test_one_person_is_enough if given.allows(given.admitted({}))

test_nobody if given.denies(given.admitted({"approvals": []}), code)

test_not_asked_at_review if given.allows(given.reviewed({"component": {"quorum": 5}}))

test_agent_does_not_count if given.denies(given.voted([{"kind": "agent", "by": "reviewer"}]), code)

test_other_digest_does_not_count if given.denies(given.voted([{"digest": "sha256:other"}]), code)

test_expired_does_not_count if given.denies(given.voted([{"expires": 1790000100}]), code)

test_last_second_counts if given.allows(given.voted([{"expires": 1790000101}]))

test_from_the_future_does_not_count if given.denies(given.voted([{"at": 1790000101}]), code)

test_component_asks_for_two if given.denies(given.admitted({"component": {"quorum": 2}}), code)

test_submission_asks_for_two if given.denies(given.admitted({"tighten": {"quorum": 2}}), code)

test_two_people_for_two if {
	given.allows(given.admitted(object.union({"component": {"quorum": 2}}, given.with_approvals([{}, {"by": "grace"}]))))
}

test_one_person_twice if {
	given.denies(given.admitted(object.union({"component": {"quorum": 2}}, given.with_approvals([{}, {"at": 1790000001}]))), code)
}

test_one_person_in_two_cases if {
	given.denies(given.admitted(object.union({"component": {"quorum": 2}}, given.with_approvals([{}, {"by": "Ada"}]))), code)
}

test_component_asks_for_none if given.admitted({"component": {"quorum": 0}}).quorum == 1

test_nine_people_for_ten if {
	nine := given.with_approvals([{"by": $"p{n}"} | some n in numbers.range(1, 9)])
	given.denies(given.admitted(object.union({"component": {"quorum": 10}}, nine)), code)
}

test_ten_people_for_nine if {
	ten := given.with_approvals([{"by": $"p{n}"} | some n in numbers.range(1, 10)])
	given.allows(given.admitted(object.union({"component": {"quorum": 9}}, ten)))
}

test_reject_stands if given.denies(given.voted([{}, {"by": "grace", "verdict": "reject"}]), code)

test_expired_reject_stands if {
	given.denies(given.voted([{}, {"by": "grace", "verdict": "reject", "expires": 1}]), code)
}

test_reject_of_agent_stands if {
	given.denies(given.voted([{}, {"by": "reviewer", "kind": "agent", "verdict": "reject"}]), code)
}

test_reject_of_earlier_digest_stands if {
	given.denies(given.voted([{}, {"by": "grace", "digest": "sha256:earlier", "verdict": "reject"}]), code)
}

test_without_quorum if {
	given.judged_at_admit(json.remove(given.admit, ["component/quorum"])).allow == false
}

found_by(vote) := {finding.msg | some finding in given.voted([vote]).deny; finding.code == code}

test_a_reject_is_no_approval if "0 of 1 people approved this digest" in found_by({"verdict": "reject"})

test_an_agent_is_none_of_the_people if "0 of 1 people approved this digest" in found_by({"kind": "agent"})

test_a_vote_of_this_very_second_counts if given.allows(given.voted([{"at": given.admit.now}]))

test_a_reject_is_not_asked_about_at_review if {
	given.allows(given.reviewed(given.with_approvals([{"verdict": "reject"}])))
}

test_a_quorum_that_is_no_number_asks_for_nothing_more if {
	given.reviewed({"component": {"quorum": "nine"}}).quorum == 1
}

test_who_put_their_name_to_the_agent_does_not_count if {
	given.denies(given.admitted({"author": {"sponsors": ["ada"]}}), code)
}

test_who_put_their_name_to_it_in_other_case if {
	given.denies(given.admitted({"author": {"sponsors": ["Linus", "ADA"]}}), code)
}

test_another_than_who_put_their_name_to_it if {
	two := given.with_approvals([{}, {"by": "grace"}])
	given.allows(given.admitted(object.union({"author": {"sponsors": ["ada"]}}, two)))
}

test_they_count_where_data_says_so if {
	given.allows(given.admitted({"author": {"sponsors": ["ada"]}})) with data.approval.sponsors_count as true
}

test_their_reject_stands if {
	votes := given.with_approvals([{"by": "grace"}, {"verdict": "reject"}])
	given.denies(given.admitted(object.union({"author": {"sponsors": ["ada"]}}, votes)), code)
}
