"""What a network looks at: activations, attribution maps and whether they can be believed.

>>> from impasto.explain import explain
>>> from impasto.subjects import load_subject
>>> result = explain(load_subject("run"), ["monet.jpg"])                      # doctest: +SKIP
>>> result.items[0].values.shape                                            # doctest: +SKIP
torch.Size([13, 13])
"""

from impasto.explain.attribution import METHODS, attribute
from impasto.explain.config import ExplainConfig
from impasto.explain.explaining import Explained, Explanation, explain
from impasto.explain.shortcuts import Shortcut
from impasto.explain.targets import Goal, Target, custom_target, parse_target
from impasto.explain.verdict import Check, Verdict

__all__ = [
    "METHODS",
    "Check",
    "ExplainConfig",
    "Explained",
    "Explanation",
    "Goal",
    "Shortcut",
    "Target",
    "Verdict",
    "attribute",
    "custom_target",
    "explain",
    "parse_target",
]
