package evoguard_test.author.held_test

import data.evoguard_test.given

code := "author.held"

test_not_held if given.allows(given.reviewed({}))

test_held_at_review if given.denies(given.reviewed({"author": {"held": true}}), code)

test_held_at_admit if given.denies(given.admitted({"author": {"held": true}}), code)

test_unknown_is_held if given.denies(given.judged_at_review(json.remove(given.review, ["author/held"])), code)
