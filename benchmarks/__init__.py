"""Measurements of the bridge beside its peers; each prints a table. None is a test."""
