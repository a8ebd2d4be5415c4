"""Ratios, each between two things measured in one run."""
