"""Adapters: one outside thing each, translated into the words of a port."""
