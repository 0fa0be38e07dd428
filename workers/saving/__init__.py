"""Checkpoints to resume from and artifacts to keep."""
