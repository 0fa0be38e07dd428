"""Engines: what turns a cohort and its arrays into epochs. See `workers.engines.base` for the contract.

May import: keras, tensorflow, numpy, the specs. Knows neither SQL nor Celery nor HTTP.
"""
