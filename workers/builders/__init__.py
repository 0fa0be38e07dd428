"""From specs to Keras objects: networks, losses, metrics, optimizers."""
