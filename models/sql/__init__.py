"""Tables, queries and state transitions. Functions that take a session never commit: whoever opened it does."""
