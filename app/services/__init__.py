"""Use cases of the API, without HTTP: one transaction each."""
