"""What the API and the workers agree on: specs, tables, lifecycle, queue.

May import: pydantic, sqlalchemy, celery's client side. Knows neither `app` nor `workers`, neither FastAPI nor Keras.
"""
