"""Child processes of the API: predictions and plots."""
