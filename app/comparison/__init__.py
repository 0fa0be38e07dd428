"""Ranking of candidates and statistical tests of their differences."""
