"""R3's comparison: one photo in one style, painted with each encoder, judged by another."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from PIL import Image
from torch import Tensor

from impasto._version import __version__
from impasto.encoders import DEFAULT_ENCODER, ENCODERS, encoder_spec
from impasto.errors import ImpastoError, MissingWeightsError, RunError, UsageError
from impasto.files import check_place
from impasto.images import Picture, resize_long, save_picture, to_image, to_tensor
from impasto.runs import read_json, write_csv, write_json
from impasto.runtime import OnProgress, Progress, human_time, ignore_progress
from impasto.style.config import StylizeConfig
from impasto.style.judging import Judge, encoders_here, judge_for
from impasto.style.optimize import Painter, StylizeResult
from impasto.style.sheet import captioned_sheet

TABLE_NAME, RECORD_NAME, SHEET_NAME = "encoders.csv", "encoders.json", "sheet.png"


@dataclass(frozen=True)
class CompareConfig:
    """What is compared.

    Attributes:
        encoders: names for ``load_encoder``; empty for all whose weights are on this machine.
        size: longer side of the pictures in pixels.
        steps: of each painting; None takes the preset's.
        weights: "random" for untrained networks, None for their own weights.
        device, seed: see ``runtime``.
    """

    encoders: tuple[str, ...] = ()
    size: int = 320
    steps: int | None = None
    weights: Literal["random"] | None = None
    device: str = "auto"
    seed: int = 0

    def __post_init__(self) -> None:
        self.painting(DEFAULT_ENCODER)  # size, steps and the like are refused now, not once for each encoder
        for name in self.encoders:
            for part in name.split("+"):
                encoder_spec(part)
        if len(set(self.encoders)) < len(self.encoders):
            raise UsageError("an encoder is named twice.")
        if self.weights not in (None, "random"):
            raise UsageError(f"one file {self.weights} cannot fill several encoders.", "Allowed: random, or nothing.")

    def painting(self, encoder: str) -> StylizeConfig:
        """Return how one encoder paints."""
        return StylizeConfig(
            encoder=encoder,
            weights=self.weights,
            size=self.size,
            steps=self.steps,
            device=self.device,
            seed=self.seed,
        )


@dataclass(frozen=True)
class EncoderRow:
    """One encoder's painting.

    Attributes:
        encoder: its name.
        parameters: how many numbers its network has, of all that features need.
        steps, seconds: of the painting; both depend on the machine and its other work, their ratios less.
        judge: the encoder that measured the picture; empty where there is no other one here.
        style: style distance under the judge as a share of the untouched photo's, so that judges can be compared;
            None where the photo has none, being the style itself.
        content: content distance under the judge: 0 for the photo, 1 for a black picture.
        picture: file name.
    """

    encoder: str
    parameters: int
    steps: int
    seconds: float
    judge: str
    style: float | None
    content: float | None
    picture: str


@dataclass(frozen=True)
class CompareResult:
    """What was painted.

    Attributes:
        folder: where the pictures, the sheet and the tables are.
        rows: one for each painting, in the order of painting.
        left_out: encoders that could not paint, each with the reason.
        interrupted: whether Ctrl-C ended it early: the painting at work is dropped, those before are there.
    """

    folder: Path
    rows: tuple[EncoderRow, ...]
    left_out: tuple[tuple[str, str], ...]
    interrupted: bool = False


@dataclass
class _Comparison:
    photo: Picture
    style: Picture
    folder: Path
    config: CompareConfig
    on_progress: OnProgress
    rows: list[EncoderRow] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    tiles: list[tuple[Image.Image, str]] = field(default_factory=list)
    judges: dict[str, Judge] = field(default_factory=dict)
    interrupted: bool = False

    def run(self) -> CompareResult:
        check_place(self.folder / RECORD_NAME)
        self._remove_former()
        for index, name in enumerate(names := self._names()):
            self.on_progress(Progress("encoders", index, len(names), {}, name))
            if (result := self._paint(name)) is not None:
                self._keep(name, result)
            if self.interrupted:
                break
        if not self.rows and not self.interrupted:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in self.left_out)
            raise MissingWeightsError(f"no encoder could paint: {reasons}", "impasto encoders lists them.")
        self.on_progress(Progress("encoders", len(self.rows), len(names)))
        return self._written()

    def _remove_former(self) -> None:
        """Remove what a former comparison in this folder painted."""
        try:
            pictures = [str(row["picture"]) for row in read_json(self.folder / RECORD_NAME)["rows"]]
        except (RunError, KeyError, TypeError):  # none, or damaged
            return
        for name in (RECORD_NAME, TABLE_NAME, SHEET_NAME, *pictures):
            (self.folder / Path(name).name).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        here = encoders_here(self.config.weights)
        if self.config.encoders:
            return list(self.config.encoders)
        self.left_out += [(name, "no weights on this machine") for name in ENCODERS if name not in here]
        return here

    def _paint(self, name: str) -> StylizeResult | None:
        try:
            result = Painter(self.config.painting(name)).paint(self.photo, [self.style], self.on_progress)
        except ImpastoError as error:  # one that has no weights, or sees nothing in so small a picture
            self.left_out.append((name, error.message))
            return None
        self.interrupted = result.interrupted
        return None if result.interrupted else result

    def _keep(self, name: str, result: StylizeResult) -> None:
        picture = result.save(self.folder / f"{name.replace(':', '-').replace('/', '-')}.png")
        judge, style, content = self._judged(name, result.image)
        size = sum(encoder_spec(part).parameters() for part in name.split("+"))
        steps = len(result.trace)
        self.rows.append(EncoderRow(name, size, steps, result.seconds, judge, style, content, picture.name))
        self.tiles.append((to_image(result.image), f"{name}\n{steps} steps, {human_time(result.seconds)}"))
        self._written()

    def _judged(self, name: str, image: Tensor) -> tuple[str, float | None, float | None]:
        judge_name = judge_for(name, self.config.weights)
        if judge_name is None:
            return "", None, None
        if judge_name not in self.judges:
            self.judges[judge_name] = Judge(judge_name, self.photo, [self.style], self.config.painting(name))
        judge = self.judges[judge_name]
        found, photo = judge.distances(image), judge.distances(judge.photo)
        return judge_name, found.style / photo.style if photo.style else None, found.content

    def _written(self) -> CompareResult:
        result = CompareResult(self.folder, tuple(self.rows), tuple(self.left_out), self.interrupted)
        columns = list(EncoderRow.__dataclass_fields__)
        write_csv(self.folder / TABLE_NAME, [asdict(row) for row in self.rows], columns)
        write_json(self.folder / RECORD_NAME, self._record())
        if self.tiles:
            size = self.config.size
            heads = [(self.photo, "photo"), (self.style, "style")]
            first = [(resize_long(picture.image, size), caption) for picture, caption in heads]
            sheet = to_tensor(captioned_sheet([*first, *self.tiles], size))
            save_picture(sheet, self.folder / SHEET_NAME, provenance=self._record())
        return result

    def _record(self) -> dict[str, Any]:
        pictures = {"content": self.photo, "style": self.style}
        return {
            "made_by": f"impasto {__version__}",
            "procedure": "encoders compare",
            **{key: {"name": each.path.name, "sha256": each.sha256} for key, each in pictures.items()},
            "config": asdict(self.config),
            "rows": [asdict(row) for row in self.rows],
            "left_out": dict(self.left_out),
            "interrupted": self.interrupted,
        }


def compare_encoders(
    photo: Picture,
    style: Picture,
    folder: Path,
    config: CompareConfig | None = None,
    on_progress: OnProgress = ignore_progress,
) -> CompareResult:
    """Paint one photo in one style with each encoder, with its own layers, and measure each with another.

    Every picture is in ``folder`` as soon as it is finished, and the tables and the sheet tell of it.

    Raises:
        UsageError: a value or a name that cannot be.
        MissingWeightsError: no encoder could paint at all.
    """
    return _Comparison(photo, style, folder, config or CompareConfig(), on_progress).run()
