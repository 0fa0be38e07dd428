"""Planning of trials and cohorts from a spec: pure functions."""
