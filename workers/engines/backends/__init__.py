"""What differs between Keras's backends, one module each, with the same names in it: those of `seam`.

May import: keras and the backend, the names of precisions, what the layout asks of a device. Knows no trial and no
report.
"""
