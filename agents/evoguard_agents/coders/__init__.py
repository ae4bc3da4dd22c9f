"""Coders: from an intent to a branch with a commit."""
