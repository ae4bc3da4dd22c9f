"""Agents that propose changes. They have no rights: they write branches, and submit like anyone else."""
