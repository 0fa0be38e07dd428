"""Measurements, each a ratio of two things done in one process run: `make bench`.

May import: everything of ours, and what it is measured against. Nothing imports it.
"""
