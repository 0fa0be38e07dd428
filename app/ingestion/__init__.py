"""Conversion of an uploaded file to a dataset, in a process of its own: `python -m app.ingestion`.

The API never imports this package. It starts a process per upload, with limits on memory and time, so that a hostile
file can only harm the process that parses it.
"""
