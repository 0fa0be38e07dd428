"""From a spec to trials and cohorts: pure functions without I/O."""
