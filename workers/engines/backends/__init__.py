"""Keras backends, one module each, with the names that `seam` defines."""
