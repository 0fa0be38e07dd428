"""What differs between Keras's backends, one module each, with the same names in it: those of `seam`."""
