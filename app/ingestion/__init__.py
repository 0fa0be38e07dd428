"""From an uploaded file to a dataset: a program of its own, `python -m app.ingestion`, that may fail or be ended.

The API never imports this package; it starts it for each upload, with limits on memory and time, so that whatever
strangers send can only harm the process that reads it.
"""
