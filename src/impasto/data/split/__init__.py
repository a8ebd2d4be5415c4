"""Dealing pictures to splits and folds, groups kept together."""
