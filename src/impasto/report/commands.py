"""The commands that make the same data set, models and scores again, from the settings on disk."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from impasto.report.records import DatasetRecord, RunRecord

_WIDTH = 76
_STYLIZE = ("network", "size", "steps", "preset", "ratio", "encoder", "weights", "precision", "device", "seed")
_TRAIN = (
    "model",
    "epochs",
    "batch_size",
    "learning_rate",
    "image_size",
    "augment",
    "labels",
    "patience",
    "weights",
    "seed",
)


def commands(dataset: DatasetRecord, runs: Sequence[RunRecord]) -> list[str]:
    """Return shell commands, in order; PHOTOS and STYLES stand for the folders of the input pictures."""
    name = dataset.root.resolve().name
    lines = []
    if settings := _stylize_settings(dataset.config):
        lines.append(
            shell_line("impasto", "dataset", "stylize", "PHOTOS", "--styles", "STYLES", "--output", name, *settings)
        )
    for run in runs:
        lines.append(shell_line("impasto", "train", name, "--output", run.folder, *_train_settings(run.config)))
        if run.evaluation:
            lines.append(shell_line("impasto", "evaluate", run.folder, name, "--split", run.evaluation.split))
    return [*lines, shell_line("impasto", "report", name, *(run.folder for run in runs))]


def shell_line(*words: str) -> str:
    """Join words, quoted for a shell; long commands go on after a backslash, indented."""
    lines = [""]
    for word in map(shlex.quote, words):
        if lines[-1].strip() and len(lines[-1]) + len(word) > _WIDTH:
            lines.append("   ")
        lines[-1] = f"{lines[-1]} {word}" if lines[-1] else word
    return " \\\n".join(lines)


def _stylize_settings(config: Mapping[str, Any]) -> list[str]:
    settings = config.get("config")
    if not isinstance(settings, dict) or not isinstance(settings.get("stylize"), dict):
        return []
    strengths = settings.get("strengths") or [settings["stylize"].get("strength")]
    words = _options(settings, ("label",))
    words += ["--originals"] if settings.get("originals") else []
    words += ["--fractions", *map(str, settings.get("fractions", ()))]
    for strength in strengths:
        words += ["--strength", str(strength)]
    return words + _options(settings["stylize"], _STYLIZE)


def _train_settings(config: Mapping[str, Any]) -> list[str]:
    return _options(config, _TRAIN) + (["--insist"] if config.get("insist") else [])


def _options(settings: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    words = []
    for name in names:
        if settings.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", str(settings[name])]
    return words
