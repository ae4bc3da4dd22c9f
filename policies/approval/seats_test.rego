package evoguard_test.approval.seats_test

import data.evoguard_test.given

code := "approval.seats"

review_of(name, model) := object.union(given.approval, {"by": name, "kind": "agent", "model": model})

critic(model) := with_votes(1, [review_of("critic", model)])

with_votes(asked, votes) := given.admitted({
	"approvals": array.concat([given.approval], votes),
	"tighten": {"seats": asked},
})

lacks(decision) if {
	some finding in decision.deny
	finding.code == code
}

told(decision) if {
	some finding in decision.escalate
	finding.code == code
}

test_no_seat_is_asked_and_none_is_needed if {
	given.allows(with_votes(0, []))
	not told(with_votes(0, []))
}

test_an_asked_seat_stands_empty if {
	lacks(with_votes(1, []))
	not told(with_votes(1, []))
}

test_nobody_is_missed_before_people_are_asked if given.allows(given.reviewed({"tighten": {"seats": 1}}))

test_an_agent_of_another_model_fills_it if {
	given.allows(critic("maker/other-1"))
	not told(critic("maker/other-1"))
}

test_it_is_told_how_many_are_missing if {
	some finding in with_votes(2, [review_of("critic", "maker/other-1")]).deny
	finding.msg == "1 of 2 agents of another model approved this digest"
}

test_the_authors_own_model_fills_none if {
	every model in ["maker/large-1", "MAKER/Large-1", ""] {
		lacks(critic(model))
		told(critic(model))
		told(with_votes(0, [review_of("critic", model)]))
	}
}

test_an_author_that_does_not_say_its_model_cannot_be_told_apart if {
	lacks(given.admitted({
		"approvals": [given.approval, review_of("critic", "maker/other-1")],
		"tighten": {"seats": 1},
		"author": {"model": ""},
	}))
}

of_a_person(model) := given.admitted({
	"approvals": [given.approval, review_of("critic", model)],
	"tighten": {"seats": 1},
	"author": {"id": "eve", "kind": "person", "model": ""},
})

test_of_a_persons_change_any_known_model_will_do if {
	given.allows(of_a_person("maker/large-1"))
	lacks(of_a_person(""))
}

test_the_same_agent_fills_one_seat if {
	twice := [review_of("critic", "maker/other-1"), review_of("CRITIC", "maker/other-2")]
	lacks(with_votes(2, twice))
	given.allows(with_votes(2, array.concat(twice, [review_of("second", "maker/other-1")])))
}

test_the_bundle_asks_as_well if {
	lacks(with_votes(0, [])) with data.approval.seats as 1
	lacks(critic("maker/other-1")) with data.approval.seats as 2
	given.allows(with_votes(2, [review_of("a", "m/1"), review_of("b", "m/2")])) with data.approval.seats as 1
}

test_a_seat_is_not_a_person if {
	decision := given.admitted({"approvals": [review_of("critic", "maker/other-1")]})
	given.denies(decision, "approval.quorum")
}

test_a_person_fills_no_seat if {
	lacks(with_votes(1, [object.union(given.approval, {"by": "bob", "model": "maker/other-1"})]))
}

test_who_also_votes_as_a_person_fills_none if {
	lacks(with_votes(1, [review_of(given.approval.by, "maker/other-1")]))
}

test_another_digest_an_old_vote_and_a_no_fill_none if {
	now := given.admit.now
	every part in [{"digest": "sha256:other"}, {"expires": now}, {"at": now + 1}, {"verdict": "reject"}] {
		lacks(with_votes(1, [object.union(review_of("critic", "maker/other-1"), part)]))
	}
}

test_the_author_fills_none if lacks(with_votes(1, [review_of(given.admit.author.id, "maker/other-1")]))

test_without_seats if {
	question := json.remove(given.admit, ["tighten/seats"])
	given.denies_field(given.judged_at_admit(question), "tighten.seats")
}

test_without_author_model if {
	question := json.remove(given.admit, ["author/model"])
	given.denies_field(given.judged_at_admit(question), "author.model")
}

test_without_model if {
	decision := with_votes(1, [object.remove(review_of("critic", ""), ["model"])])
	given.denies_field(decision, "approvals[1].model")
	lacks(decision)
}
