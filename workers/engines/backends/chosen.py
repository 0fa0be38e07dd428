"""The backend that this process has: Keras's own choice, made when Keras was first imported."""

from importlib import import_module

import keras

from workers.engines.backends.seam import Backend

backend: Backend = import_module(f"workers.engines.backends.{keras.backend.backend()}")
