"""Repainting: losses, and optimisation of a picture against them."""
