"""Weights that this project trained itself, each with a card of the same name (``impasto-vgg.md``) beside it."""

from pathlib import Path

ASSETS = Path(__file__).parent
