"""Samplers on tables of results, beside Optuna's; run by the Python of their own environment."""
