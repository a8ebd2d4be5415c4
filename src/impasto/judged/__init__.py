"""A classifier as the judge of repaints: are classes kept, are styles recognised, does shape decide or texture?

>>> from impasto.judged import score_repaints, shape_bias
>>> print(score_repaints("repaints", "run").overall.kept)                      # doctest: +SKIP
26/30 = 86.7 % [70.3, 94.7]
>>> print(shape_bias("conflicts", "torchvision:squeezenet1_0").counted.bias)   # doctest: +SKIP
22/32 = 68.8 % [51.4, 82.0]
"""

from impasto.judged.bias import shape_bias
from impasto.judged.conflicts import ConflictConfig, make_conflicts
from impasto.judged.decisions import CueCounts, Decision, ShapeBias
from impasto.judged.judges import Judge, open_judge
from impasto.judged.scores import RepaintScore, RepaintScores, Tally
from impasto.judged.scoring import score_repaints
from impasto.judged.strengths import KeepLabel

__all__ = [
    "ConflictConfig",
    "CueCounts",
    "Decision",
    "Judge",
    "KeepLabel",
    "RepaintScore",
    "RepaintScores",
    "ShapeBias",
    "Tally",
    "make_conflicts",
    "open_judge",
    "score_repaints",
    "shape_bias",
]
