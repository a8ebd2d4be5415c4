"""Training a feed-forward network on one or several styles (Johnson, Alahi and Fei-Fei 2016; Dumoulin et al. 2017).

It does not start from nothing: the convolutions are those of the network for any style, and each style starts as what
that network reads from its picture. So the first sample sheet is a picture already, and half an hour on a CPU is spent
on making it a good one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from impasto._version import __version__
from impasto.encoders import AnyEncoder, default_layers, gains_from_bf16, load_encoder
from impasto.errors import DataError, NumericalError, UsageError
from impasto.files import file_digest
from impasto.images import Picture, find_pictures, open_picture, resize_long, save_picture, to_tensor
from impasto.runs import REJECTED_NAME, RunFolder, digest, write_csv
from impasto.runtime import (
    OnProgress,
    Progress,
    Stopwatch,
    choose_device,
    choose_dtype,
    ignore_progress,
)
from impasto.style.architectures import IMPASTO
from impasto.style.brush import AnyBrush, brush_of
from impasto.style.checkpoints import StyleNetwork, save_network
from impasto.style.config import DEFAULT_NETWORK
from impasto.style.crops import Crops
from impasto.style.impasto_net import ManyStyles
from impasto.style.library import open_network
from impasto.style.perceptual import PerceptualLoss
from impasto.style.sheet import sample_sheet
from impasto.style.state import load_state, save_state
from impasto.style.train_config import NetworkTrainConfig, NetworkTrainResult

STATE_NAME, CURVE_NAME, SAMPLES = "state.pt", "curve.csv", "samples"
_COLUMNS = ["step", "seconds", "loss", "held_out"]
# The average of the weights forgets with this factor a step (after a shorter memory at the start).
_KEEP = 0.998
_WARM_UP = 20
_HELD_OUT_BATCHES = 3
# Training has nothing more to gain when so many looks at the held-out photos brought less than this share.
_PATIENCE = 4
_LEAST_GAIN = 0.002
_SHOWN_PHOTOS, _SHOWN_STYLES = 4, 6
# Share of the time that the last look and the last files are given.
_RESERVE = 0.02


class NetworkTrainer:
    """A training that can be interrupted: the same call goes on from the last look.

    Args:
        styles: pictures, each with a name of its own (the file's, without suffix).
        photos: folder; every twentieth photo, at least one batch, is held out.
        output: a new folder, or that of the same training.
        config: what to do.
        start: the network to start from; None for the embedded one.
        encoder: use this one in place of loading the configuration's.

    Raises:
        DataError: too few photos, no style, or two of one name.
        RunError: ``output`` belongs to another training.
    """

    def __init__(
        self,
        styles: Sequence[Path],
        photos: Path,
        output: Path,
        config: NetworkTrainConfig,
        *,
        start: StyleNetwork | None = None,
        encoder: AnyEncoder | None = None,
        on_progress: OnProgress = ignore_progress,
    ) -> None:
        self.watch = Stopwatch()
        self.config, self.on_progress = config, on_progress
        self.device = choose_device(config.device)
        self.names = _names(styles)
        pictures = [open_picture(path) for path in styles]
        learned, held_out = _divided(photos, config.batch)
        encoder = encoder or load_encoder(config.encoder, weights=config.weights, seed=config.seed)
        embedded = start or open_network(DEFAULT_NETWORK)
        facts = {
            "config": config,
            "styles": {name: picture.sha256 for name, picture in zip(self.names, pictures, strict=True)},
            "photos": digest([(path.name, path.stat().st_size) for path in [*learned, *held_out]]),
            "encoder": encoder.identity(),
        }
        self.run = RunFolder(output, facts, "network train")
        self.crops = Crops(learned, config.size, config.batch, config.seed)
        self._held_out = Crops(held_out, config.size, config.batch, config.seed)
        self._prepare(encoder, embedded, pictures)

    def _prepare(self, encoder: AnyEncoder, embedded: StyleNetwork, pictures: Sequence[Picture]) -> None:
        config = self.config
        fast = gains_from_bf16(config.encoder)
        dtype = choose_dtype("fp32" if config.precision == "auto" and not fast else config.precision, self.device)
        self.dtype = choose_dtype(config.precision, self.device)
        encoder = encoder.to(self.device).to(memory_format=torch.channels_last)
        self.loss = PerceptualLoss(encoder, *default_layers(config.encoder), config.strength, dtype)
        seen = [self._style_view(picture) for picture in pictures]
        targets = [self.loss.targets(each) for each in seen]
        self.grams = {name: torch.cat([each[name] for each in targets]) for name in targets[0]}
        self.model = _started(embedded, seen, self.device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        groups = [
            {"params": list(self.model.net.parameters()), "top": config.rate},
            {"params": [self.model.table], "top": 10 * config.rate},
        ]
        self.optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
        self.step, self.spent, self.looks = 0, 0.0, []  # type: tuple[int, float, list[dict[str, float]]]
        self.best: dict[str, Tensor] = {}
        load_state(self.run.path / STATE_NAME, self)

    def _style_view(self, picture: Picture) -> Tensor:
        side = max(picture.image.size)
        size = min(side, round(self.config.size * self.config.style_size))
        return to_tensor(resize_long(picture.image, size)).to(self.device)

    def train(self) -> NetworkTrainResult:
        """Train until the steps or the budget are spent, or the held-out loss falls no more; write the network.

        Raises:
            NumericalError: the loss is no number any more.
        """
        if not self.looks:
            self._look(float("nan"))
        stopped = self._stopped()
        if not stopped:
            recent: list[float] = []
            for photos in self.crops.from_step(self.step):
                recent.append(self._learn(photos))
                self._tell(recent[-1])
                stopped = self._stopped()
                if stopped or self._time_to_look():
                    self._look(sum(recent) / len(recent))
                    recent.clear()
                    stopped = stopped or self._stopped()
                if stopped:
                    break
        return self._finish(stopped)

    @property
    def seconds(self) -> float:
        """Seconds spent in all, also before interruptions."""
        return self.spent + self.watch.seconds

    @property
    def _done(self) -> float:
        """Share of the training that is over."""
        config = self.config
        spent = self.seconds / (config.budget * (1 - _RESERVE)) if config.steps is None else self.step / config.steps
        return min(1.0, spent)

    def _stopped(self) -> str:
        if self._done >= 1:
            return "budget" if self.config.steps is None else "steps"
        losses = [look["held_out"] for look in self.looks]
        before, recent = losses[:-_PATIENCE], losses[-_PATIENCE:]
        gained = min(recent) < (1 - _LEAST_GAIN) * min(before, default=float("inf"))
        return "" if gained else "no gain"

    def _time_to_look(self) -> bool:
        if self.config.steps is not None:
            return self.step % max(1, self.config.steps // 8) == 0
        return self.seconds - self.looks[-1]["seconds"] >= self.config.look_every

    def _learn(self, photos: Tensor) -> float:
        share = min(1.0, (self.step + 1) / _WARM_UP) * (0.5 + 0.5 * math.cos(math.pi * self._done))
        for group in self.optimizer.param_groups:
            group["lr"] = share * group["top"]
        # Styles take turns, so that with the same photos each sees all of them in the end.
        turn = (torch.arange(len(photos)) + self.step * len(photos)) % len(self.names)
        loss = self._losses(self.model, photos.to(self.device), turn).mean()
        if not math.isfinite(loss.item()):
            raise NumericalError("the loss is no number any more.", "Try --precision fp32, or a smaller --rate.")
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        keep = min(_KEEP, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)
        return loss.item()

    def _losses(self, model: ManyStyles, photos: Tensor, turn: Tensor) -> Tensor:
        shares = nn.functional.one_hot(turn, len(self.names)).to(photos)
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32):
            painted = model(photos.contiguous(memory_format=torch.channels_last), shares)
        return self.loss(painted.float(), photos, {name: gram[turn] for name, gram in self.grams.items()})

    @torch.no_grad()
    def _look(self, loss: float) -> None:
        """Judge the averaged weights on held-out photos, show samples, save everything."""
        losses = []
        for number in range(_HELD_OUT_BATCHES):
            photos = self._held_out.at(number).to(self.device)
            for style in range(len(self.names)):
                losses.append(self._losses(self.average, photos, torch.full((len(photos),), style)).mean())
        held_out = torch.stack(losses).mean().item()
        if held_out < min((look["held_out"] for look in self.looks), default=float("inf")):
            self.best = {key: value.clone() for key, value in self.average.state_dict().items()}
        self.looks.append({"step": self.step, "seconds": self.seconds, "loss": loss, "held_out": held_out})
        photos = self._held_out.at(0)[:_SHOWN_PHOTOS].to(self.device)
        path = self.run.path / SAMPLES / f"{self.step:06d}.jpg"
        save_picture(sample_sheet(self.average, photos, _SHOWN_STYLES), path, provenance={"step": self.step})
        save_state(self.run.path / STATE_NAME, self)
        write_csv(
            self.run.path / CURVE_NAME, [{name: look[name] for name in _COLUMNS} for look in self.looks], _COLUMNS
        )

    def _tell(self, loss: float) -> None:
        values = {"loss": loss, "held-out": self.looks[-1]["held_out"]}
        if self.config.steps is not None:
            self.on_progress(Progress("training", self.step, self.config.steps, values))
            return
        self.on_progress(Progress("training", int(self.seconds), int(self.config.budget), values, f"step {self.step}"))

    def _finish(self, stopped: str) -> NetworkTrainResult:
        self.average.load_state_dict(self.best)
        losses = [look["held_out"] for look in self.looks]
        path = self.run.path / f"{self.config.name}.safetensors"
        facts = {
            "name": self.config.name,
            "styles": self.names,
            "source": "impasto network train",
            "source_format": "impasto",
            "licence": "",
            "impasto": __version__,
            "training": {**self.run.config, "steps_done": self.step, "held_out": min(losses)},
        }
        save_network(StyleNetwork(self.average, IMPASTO, facts), path)
        rejected = {**self.crops.rejected, **self._held_out.rejected}
        rows = [{"path": path.name, "reason": reason} for path, reason in sorted(rejected.items())]
        write_csv(self.run.path / REJECTED_NAME, rows, ["path", "reason"])
        self.run.finish(network=path.name, sha256=file_digest(path), steps=self.step, held_out=min(losses))
        return NetworkTrainResult(
            path,
            tuple(self.names),
            self.step,
            self.seconds,
            min(losses),
            losses[0],
            stopped,
            tuple((row["path"], row["reason"]) for row in rows),
        )


def _names(styles: Sequence[Path]) -> list[str]:
    names = [path.stem for path in styles]
    if not names:
        raise DataError("no style picture was given.")
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"two style pictures are called {name}.", "Rename one of them.")
    return names


def _divided(folder: Path, batch: int) -> tuple[list[Path], list[Path]]:
    """Return photos to learn from and held-out ones."""
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder.")
    paths = find_pictures(folder)
    every = max(2, min(20, len(paths) // max(1, batch)))
    held_out = paths[::every]
    if len(paths) < 2 * batch:
        raise DataError(
            f"{folder} holds {len(paths)} photos, too few.", f"{2 * batch} are the least, hundreds are better."
        )
    return [path for path in paths if path not in set(held_out)], held_out


def _started(embedded: StyleNetwork, seen: Sequence[Tensor], device: torch.device) -> ManyStyles:
    """Return a network with each style as the any-style network reads it."""
    brush = brush_of(embedded, device)
    if not isinstance(brush, AnyBrush):
        raise UsageError(f"{embedded.facts.get('name')} is no network for any style, which training starts from.")
    model = ManyStyles(copy.deepcopy(brush.module.net), len(seen))
    with torch.no_grad():
        model.table.copy_(torch.stack([brush.read(each) for each in seen]))
    return model.to(device).to(memory_format=torch.channels_last).train().requires_grad_(True)


def train_network(
    styles: str | Path | Sequence[str | Path],
    photos: str | Path,
    output: str | Path,
    *,
    on_progress: OnProgress = ignore_progress,
    **options: Any,
) -> NetworkTrainResult:
    """Train a network on one or several styles; ``options`` are the fields of ``NetworkTrainConfig``.

    >>> train_network("wave.jpg", "photos", "wave-run", budget=1800).network  # doctest: +SKIP
    PosixPath('wave-run/wave.safetensors')
    """
    paths = [Path(styles)] if isinstance(styles, str | Path) else [Path(each) for each in styles]
    options.setdefault("name", paths[0].stem)
    config = NetworkTrainConfig(**options)
    return NetworkTrainer(paths, Path(photos), Path(output), config, on_progress=on_progress).train()


def style_paths(values: Sequence[Path]) -> list[Path]:
    """Return style pictures: files as they are, of folders the pictures in them."""
    return [path for value in values for path in _expanded(value)]


def _expanded(value: Path) -> Iterator[Path]:
    return iter(find_pictures(value)) if value.is_dir() else iter([value])
