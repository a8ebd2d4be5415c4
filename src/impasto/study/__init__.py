"""Studies: a declared experiment, from pictures to a verdict with honest statistics.

>>> from impasto.study import analyse, read_study, run_study, verdict
>>> result = run_study(read_study("R1", ["split.draws=14"]), "caltech101", "r1", styles="styles")  # doctest: +SKIP
>>> print(*verdict(analyse(result)), sep="\\n")                                                     # doctest: +SKIP
"""

from impasto.study.analysis import Analysis, ArmScore, Comparison, analyse
from impasto.study.arms import Arm, arms_of
from impasto.study.engines import Engine
from impasto.study.engines.cluster import RayEngine
from impasto.study.engines.local import LocalEngine
from impasto.study.plan import Plan, plan_study
from impasto.study.reading import bundled, read_study
from impasto.study.result import StudyResult, load_result
from impasto.study.runner import StudyRun, run_study
from impasto.study.spec import Study
from impasto.study.words import verdict

__all__ = [
    "Analysis",
    "Arm",
    "ArmScore",
    "Comparison",
    "Engine",
    "LocalEngine",
    "Plan",
    "RayEngine",
    "Study",
    "StudyResult",
    "StudyRun",
    "analyse",
    "arms_of",
    "bundled",
    "load_result",
    "plan_study",
    "read_study",
    "run_study",
    "verdict",
]
