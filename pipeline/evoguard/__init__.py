"""evoguard: a guarded pipeline for software that evolves itself."""

__version__ = "0.1.0"
