"""Builders of Keras objects from specs: networks, losses, metrics, optimizers."""
