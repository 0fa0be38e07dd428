"""From an engine's epochs to SQL, and from each epoch to the decision which trials stop."""
