"""Layers with the names and defaults of Keras. Each is one class: its options, its shape rule, what it needs to train.

A class has the name of Keras's own, and Keras's JSON, builders and documentation follow from it.
"""
