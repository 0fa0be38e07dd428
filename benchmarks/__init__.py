"""Measurements, each a ratio of two things done in one process run: `make bench`."""
