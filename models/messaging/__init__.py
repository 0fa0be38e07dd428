"""The queue between the API process and the workers (Celery)."""
