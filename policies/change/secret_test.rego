package evoguard_test.change.secret_test

import data.evoguard_test.given

code := "change.secret"

test_none if given.allows(given.reviewed({}))

test_one if given.denies_term(given.reviewed({"secrets": [given.secret]}), code, "aws-key")

test_unreadable_one if given.denies(given.reviewed({"secrets": [{}]}), "input.incomplete")

test_without_secrets if given.judged_at_review(json.remove(given.review, ["secrets"])).allow == false
