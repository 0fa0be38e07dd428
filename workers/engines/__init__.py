"""Engines: from a cohort and its arrays to epochs. `workers.engines.base` defines the contract."""
