"""Searches: spaces of values, where these may stand, samplers and pruners."""
