"""The HTTP API, its client and the command line. Starts in a second and has never heard of TensorFlow.

May import: `models`, fastapi, matplotlib (late). Knows nothing of `workers`.
"""
