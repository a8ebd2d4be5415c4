"""The card of a trained model: what it is, what it was taught, how well it did, what to beware of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment

from impasto.classify.models import parse_model
from impasto.data.load.augmentations import Augmentation
from impasto.statistics import Proportion

CARD_NAME = "README.md"

_TEMPLATE = """\
# {{ config.model }}: {{ config.classes | length }} classes

A classifier trained by impasto {{ config.version }}.

| | |
|---|---|
| classes | {{ config.classes | map("cell") | join(", ") }} |
| data | {{ config.data.name | cell }}: {{ facts.pictures.train }} pictures in train, \
{{ facts.pictures.validation }} in validation |
| not readable, left out | {{ facts.skipped | length }} |
| pictures | {{ config.preprocessing.crop }} scaled to {{ config.preprocessing.size }} pixels \
({{ config.preprocessing.resampling }}), {{ config.preprocessing.colour }} |
{% if encoder -%}
| encoder | {{ encoder | cell }} |
{% endif -%}
| augmentation | {{ config.augment }}: {{ augmentation }} |
| classes are labels of the kind | {{ config.labels }}{{ caveat }} |
| taught by | {{ taught_by }} |
| validation | {{ validation }} (95 % Wilson interval) |
| seed | {{ config.seed }} |

The weights are those of row {{ facts.best_epoch }} of `curves.csv`, chosen on the validation pictures: their score \
flatters. Judge the model on pictures it has not seen:

    impasto evaluate RUN DATA --split test

It names one of its classes for every picture, also for one that shows none of them. Accuracy on pictures from \
another source is usually lower.
"""


def card(config: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Return the text of ``README.md`` from a run's configuration and its manifest."""
    environment = Environment(autoescape=False, keep_trailing_newline=True)  # Markdown, no HTML
    environment.filters["cell"] = _cell
    return environment.from_string(_TEMPLATE).render(
        config=config,
        facts=facts,
        validation=Proportion(facts["validation"]["correct"], facts["validation"]["n"]),
        encoder=_encoder(config),
        taught_by=_taught_by(config, facts),
        **_augmentation(config),
    )


def _encoder(config: Mapping[str, Any]) -> str:
    model = parse_model(config["model"])
    if model.kind == "frozen":
        return f"{model.encoder}, frozen, with the head {config['head']}; its weights are not in this folder"
    if model.kind == "finetune":
        blocks = config["open_blocks"]
        opened = "all blocks" if blocks == "all" else f"its last {blocks} block{'s' * (blocks > 1)}"
        return f"{model.encoder}, {opened} fine-tuned, with the head {config['head']}"
    return ""


def _taught_by(config: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    """Return how the weights were found, in one line."""
    if "optimiser" not in config:
        return "logistic regression (L-BFGS), its penalty chosen on validation"
    rate = facts.get("learning_rate", config["learning_rate"])
    probe = facts.get("probe")
    begun = f"; begun from a linear probe of {Proportion(probe['correct'], probe['n'])}" if probe else ""
    return (
        f"{config['optimiser']}, learning rate {rate:g} ({config['schedule']}), batches of {config['batch_size']}, "
        f"{config['epochs']} epochs at most{begun}"
    )


def _augmentation(config: Mapping[str, Any]) -> dict[str, str]:
    augmentation = Augmentation(config["augment"])
    is_true = config["labels"] in augmentation.preserves
    return {
        "augmentation": "; ".join(preset.does for preset in augmentation.presets),
        "caveat": "" if is_true else ", which the augmentation does not preserve: somebody insisted",
    }


def _cell(text: str) -> str:
    """Keep a name from ending its table cell or starting HTML."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")
