"""Plots of histories and sweeps, drawn by Matplotlib."""
