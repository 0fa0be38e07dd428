"""The processes that train: the only place where keras and its backends are imported.

May import: `models`, keras, celery; its backends, tensorflow or jax, in `engines/backends` alone. Knows nothing of
`app` and HTTP.
"""
