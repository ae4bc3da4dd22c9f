"""Git on hostile input: objects are copied into our own bare repositories, and nothing of the submitter's ever runs."""
