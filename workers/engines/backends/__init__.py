"""What differs between Keras's backends, one module each, with the same names in it: those of `seam`.

May import: keras and the backend. Knows no spec, no trial and no report.
"""
