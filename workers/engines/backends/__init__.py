"""What differs between Keras's backends, one module each, with the same names in it: see `workers.engines.epoch`.

May import: keras and the backend. Knows no spec, no trial and no report.
"""
