"""HTTP clients of the API, synchronous and asynchronous, and what they make of its answers."""
