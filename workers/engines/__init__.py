"""Engines: what turns a cohort and its arrays into epochs. See `workers.engines.base` for the contract.

May import: keras, numpy, the specs; what it computes with only in `backends`. Knows neither SQL nor Celery nor HTTP.
"""
