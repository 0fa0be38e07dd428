"""Reporting of epochs to SQL, and the decision which trials stop."""
