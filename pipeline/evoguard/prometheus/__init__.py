"""Counters of a Prometheus server as a source of KPI batches: read, differenced, told at the guard's door."""
