"""Builds the house from settings: the only place that names adapters. One file for each process that starts."""
