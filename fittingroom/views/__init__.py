"""Documents that the API answers with."""
