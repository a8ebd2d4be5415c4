"""Data sets: records, folder layouts, splits, repainting a folder."""
