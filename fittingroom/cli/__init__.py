"""The command line `fittingroom`."""
