"""Every letter says what was decided, and why."""

from pathlib import Path

from lending.letters import MODEL, PROMPT, complete, write


def test_a_letter_says_the_decision_and_the_whole_reason():
    files = {path: Path(path).read_text(encoding="utf-8") for path in (MODEL, PROMPT)}  # of the tree under test
    told = {"decision": "refuse", "reason": "the loan is too large"}
    letter = write(files, name="Ann", **told)
    assert complete(letter, **told)
    assert "Ann" in letter


def test_a_letter_without_its_reason_is_not_complete():
    assert not complete("Our answer to it is: refuse.", decision="refuse", reason="the loan is too large")
