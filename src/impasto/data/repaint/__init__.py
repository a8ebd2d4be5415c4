"""Repainting every picture of a folder in every style."""
