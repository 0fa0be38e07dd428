"""Checks of a whole experiment that no single field can make: shapes, wiring, data, trainability."""
