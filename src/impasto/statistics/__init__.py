"""Statistics of right and wrong answers: proportions, bootstrap intervals, paired comparisons. Numbers only, no torch.

>>> from impasto.statistics import Proportion, mcnemar
>>> print(Proportion(50, 60))
50/60 = 83.3 % [72.0, 90.7]
>>> round(mcnemar([True] * 8 + [False], [True] * 3 + [False] * 5 + [True]).p, 3)
0.219
"""

from impasto.statistics.anova import Effect, factorial_anova
from impasto.statistics.bootstrap import bootstrap_interval
from impasto.statistics.crossed import CrossedMean, crossed_mean
from impasto.statistics.paired import CorrectedT, McNemar, corrected_t, mcnemar, paired_t
from impasto.statistics.power import detectable, draws_needed, power
from impasto.statistics.proportion import Proportion, counts_behind, wilson
from impasto.statistics.several import SignTest, holm, sign_test

__all__ = [
    "CorrectedT",
    "CrossedMean",
    "Effect",
    "McNemar",
    "Proportion",
    "SignTest",
    "bootstrap_interval",
    "corrected_t",
    "counts_behind",
    "crossed_mean",
    "detectable",
    "draws_needed",
    "factorial_anova",
    "holm",
    "mcnemar",
    "paired_t",
    "power",
    "sign_test",
    "wilson",
]
