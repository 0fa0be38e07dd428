"""Reads that clients repeat: response cache, versions, histories of any length."""
