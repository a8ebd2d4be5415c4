"""The whole loop on sample pictures: paint styles, repaint photos, learn the styles, judge, report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from impasto.classify import Evaluation, TrainConfig, evaluate, train
from impasto.data.repaint.records import RepaintConfig, RepaintResult
from impasto.data.repaint.repainting import repaint_folder
from impasto.report import build_report
from impasto.runtime import OnProgress, Stopwatch, ignore_progress
from impasto.samples.photos import sample_photos
from impasto.samples.styles import paint_styles
from impasto.style.config import FastConfig


@dataclass(frozen=True)
class DemoConfig:
    """What the demonstration uses.

    Attributes:
        content: folder of photos; None takes those that ship inside the packages impasto depends on.
        styles: folder of style pictures; None paints the sample styles.
        size: longer side of the repaints in pixels.
        epochs: at most so many passes of R0's CNN over the training pictures.
        fractions: shares of train, validation and test by number of photos. More test than usual: with few photos
            every test picture counts.
    """

    content: Path | None = None
    styles: Path | None = None
    size: int = 224
    epochs: int = 20
    fractions: tuple[float, float, float] = (0.5, 0.2, 0.3)
    seed: int = 0
    device: str = "auto"


@dataclass(frozen=True)
class DemoResult:
    """Where the report is, what was painted, and the score of each model on photos it never saw."""

    report: Path
    repaints: RepaintResult
    scores: dict[str, Evaluation]
    seconds: float


def run_demo(config: DemoConfig, output: Path, on_progress: OnProgress = ignore_progress) -> DemoResult:
    """Run the six steps into the folder ``output``; a run that was killed goes on where it stopped.

    Raises:
        ImpastoError: whatever a step raises; what is finished stays.
    """
    watch = Stopwatch()
    styles = config.styles or _styles(output / "styles", config.seed, on_progress)
    content = config.content or _photos(output / "photos")
    stylize = FastConfig(size=config.size, seed=config.seed, device=config.device)
    settings = RepaintConfig(stylize, fractions=config.fractions)
    dataset = output / "dataset"
    repaints = repaint_folder(content, styles, dataset, settings, on_progress=on_progress)
    models = {
        "frozen": TrainConfig(dataset, seed=config.seed, device=config.device),
        "r0-cnn": TrainConfig(dataset, model="r0-cnn", epochs=config.epochs, seed=config.seed, device=config.device),
    }
    scores = {}
    for name, settings_of_model in models.items():
        run = output / "models" / name
        train(settings_of_model, run, _named(on_progress, name))
        scores[name] = evaluate(run, dataset, output=run, device=config.device, on_progress=_named(on_progress, name))
    runs = [output / "models" / name for name in models]
    report = build_report(dataset, runs, output / "report.html", sources=[content, styles], on_progress=on_progress)
    return DemoResult(report, repaints, scores, watch.seconds)


def _photos(folder: Path) -> Path:
    sample_photos(folder)
    return folder


def _styles(folder: Path, seed: int, on_progress: OnProgress) -> Path:
    paint_styles(folder, seed=seed, on_progress=on_progress)
    return folder


def _named(on_progress: OnProgress, model: str) -> Callable[..., None]:
    """Let the stages of different models be told apart: each has its own bar."""
    return lambda progress: on_progress(replace(progress, stage=f"{model}: {progress.stage}"))
