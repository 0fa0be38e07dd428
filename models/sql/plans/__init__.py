"""Plans of experiments as rows: submits, rounds of searches, results that these begin with."""
