"""Experiment documents: what a client writes, under Keras's names and with Keras's defaults."""
