"""The processes that train: the only place where keras and tensorflow are imported.

May import: `models`, keras, tensorflow, celery. Knows nothing of `app` and HTTP.
"""
