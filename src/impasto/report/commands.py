"""The commands that make the same data set, models and scores again, from the settings on disk."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from impasto.report.records import DatasetRecord, Evaluation, RunRecord

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
        lines.append(shell_line(*_making(run, name)))
        if run.evaluation:
            lines.append(shell_line("impasto", "evaluate", run.folder, name, *_judging(run.evaluation)))
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
    if isinstance(chooser := config.get("chooser"), dict):
        strengths = ["auto"]
        words += ["--judge", "JUDGE", *_options(chooser, ("keep",))]
    for strength in strengths:
        words += ["--strength", str(strength)]
    return words + _options(settings["stylize"], _STYLIZE)


def _making(run: RunRecord, data: str) -> list[str]:
    """Return the words of the command that made a model, out of data or out of other models."""
    if run.config.get("procedure") != "ensemble":
        return ["impasto", "train", data, "--output", run.folder, *_train_settings(run.config)]
    greedy = ["--greedy", data] if run.config.get("selection") else []
    return ["impasto", "ensemble", *map(str, run.config.get("candidates", ())), "--output", run.folder, *greedy]


def _judging(evaluation: Evaluation) -> list[str]:
    views = [] if evaluation.views == "whole" else ["--views", evaluation.views]
    return ["--split", evaluation.split, *views]


def _train_settings(config: Mapping[str, Any]) -> list[str]:
    return _options(config, _TRAIN) + (["--insist"] if config.get("insist") else [])


def _options(settings: Mapping[str, Any], names: Sequence[str]) -> list[str]:
    words = []
    for name in names:
        if settings.get(name) is not None:
            words += [f"--{name.replace('_', '-')}", str(settings[name])]
    return words
