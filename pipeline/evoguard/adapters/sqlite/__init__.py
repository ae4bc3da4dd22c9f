"""Everything that is kept in the one SQLite file of the embedded mode."""
