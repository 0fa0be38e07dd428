"""Background maintenance: expired leases, lost messages, retention, consistency checks."""
