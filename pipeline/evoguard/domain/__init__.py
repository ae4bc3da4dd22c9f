"""Nouns and rules of the guard: frozen values and pure functions, standard library only."""
