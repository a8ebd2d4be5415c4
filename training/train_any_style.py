"""Train the embedded any-style network ``impasto-any``: any photo in the style of any picture, in one pass.

    python training/train_any_style.py --data ../shared/data --weights ../shared/weights -o any-run --minutes 70

Every step takes eight crops of photos, each with a style crop of its own, and lowers the normalised Gatys loss (the
default preset's) under SqueezeNet 1.1 and, with more weight on the content, under the embedded encoder. No label is
used.
Never opened: the five Caltech classes, louvre/validation, ``content``, and six of the styles (``KEPT_OUT_STYLES``).
The state is saved every five minutes; the same command goes on from there.
"""

from __future__ import annotations

import argparse
import copy
import math
import os
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from impasto._version import __version__
from impasto.encoders import default_layers, load_encoder
from impasto.samples.styles import STYLES
from impasto.style.any_style import READ_LAYERS, AnyStyleNet, moments
from impasto.style.architectures import ANY
from impasto.style.checkpoints import StyleNetwork, load_network, save_network
from impasto.style.perceptual import PerceptualLoss

KEPT_OUT_CLASSES = {"scorpion", "crab", "butterfly", "crayfish", "lobster"}
# Two that are not free, and four of different kinds.
KEPT_OUT_STYLES = {"la_muse", "rain_princess", "seated-nude", "starry-night", "stripes", "woman-with-hat-matisse"}
BATCH, CROP = 8, 192
# The reader learns faster than the convolutions, whose every step moves what it has to predict.
NET_RATE, READER_RATE = 7e-4, 2e-3
# Strength at which the embedded encoder judges: much photo, because under SqueezeNet's loss a network that paints
# the same strokes everywhere is nearly as good.
CONTENT_STRENGTH = 0.08
SAVE_EVERY = 300.0
PROCEDURAL_SEEDS = 6
Pictures = list[np.ndarray]


def pictures_in(folder: Path, short: int, skip: set[str] = frozenset()) -> Pictures:  # type: ignore[assignment]
    """Open all pictures below a folder, the shorter side reduced to at most ``short``."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in {".jpg", ".png"})
    return [load(path, short) for path in paths if path.stem not in skip and path.parent.name not in skip]


def load(path: Path, short: int) -> np.ndarray:
    """Open one picture as H x W x 3 uint8 without the white letterbox that some have."""
    image = Image.open(path).convert("RGB")
    pixels = np.asarray(image)
    dark = pixels.min(2) < 245
    rows, columns = np.flatnonzero(dark.mean(1) > 0.05), np.flatnonzero(dark.mean(0) > 0.05)
    if len(rows) > 64 and len(columns) > 64 and path.parent.parent.name == "train":
        image = image.crop((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1))
    scale = min(1.0, short / min(image.size))
    return np.asarray(image.resize([max(8, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS))


class Data:
    """All pictures of the training, in groups with the share that each has."""

    def __init__(self, data: Path) -> None:
        photos, caltech = pictures_in(data / "photos", 256), pictures_in(data / "caltech101", 144, KEPT_OUT_CLASSES)
        louvre, museum = pictures_in(data / "louvre" / "train", 400), pictures_in(data / "artworks", 400)
        styles = pictures_in(data / "styles", 400, KEPT_OUT_STYLES)
        ours = [np.asarray(STYLES[name].paint(384, seed)) for name in STYLES for seed in range(PROCEDURAL_SEEDS)]
        self.contents = ((0.65, photos), (0.2, caltech), (0.1, louvre), (0.05, museum))
        self.styles = ((0.26, styles), (0.28, museum), (0.15, louvre), (0.1, ours), (0.13, photos), (0.08, caltech))
        for name, group in (("photos", photos), ("caltech", caltech), ("louvre", louvre), ("museum", museum)):
            print(f"{name}: {len(group)}", flush=True)
        print(f"styles: {len(styles)}, our own: {len(ours)}", flush=True)


class Batches(threading.Thread):
    """Crops prepared in the background: contents and styles, each B x 3 x CROP x CROP in 0..1."""

    def __init__(self, data: Data, seed: int, start: int) -> None:
        super().__init__(daemon=True)
        self.data, self.random = data, np.random.default_rng([seed, start])
        self.queue: queue.Queue[tuple[Tensor, Tensor]] = queue.Queue(4)
        self.start()

    def run(self) -> None:
        """Fill the queue for ever."""
        while True:
            contents = [self._crop(self._pick(self.data.contents), (1.0, 1.4)) for _ in range(BATCH)]
            styles = [self._colours(self._crop(self._pick(self.data.styles), (1.0, 1.8))) for _ in range(BATCH)]
            if self.random.random() < 0.25:  # its own style: the network learns what leaving a photo alone is
                styles[0] = contents[0]
            self.queue.put((_tensor(contents), _tensor(styles)))

    def _pick(self, groups: tuple[tuple[float, Pictures], ...]) -> np.ndarray:
        group = groups[self.random.choice(len(groups), p=[share for share, _ in groups])][1]
        return group[self.random.integers(len(group))]

    def _crop(self, picture: np.ndarray, zoom: tuple[float, float]) -> np.ndarray:
        """A square of the picture whose shorter side is ``zoom`` times the crop."""
        height, width = picture.shape[:2]
        side = min(height, width) / self.random.uniform(*zoom)
        left, top = self.random.uniform(0, width - side), self.random.uniform(0, height - side)
        box = (left, top, left + side, top + side)
        crop = np.asarray(Image.fromarray(picture).resize((CROP, CROP), Image.Resampling.BICUBIC, box=box))
        return crop[:, ::-1] if self.random.random() < 0.5 else crop

    def _colours(self, style: np.ndarray) -> np.ndarray:
        """Every second style turned, and every second in other colours: channels, saturation, brightness."""
        if self.random.random() < 0.5:
            style = np.rot90(style, self.random.integers(1, 4))
        if self.random.random() < 0.5:
            return style
        pixels = style[:, :, self.random.permutation(3)].astype(np.float32)
        grey = pixels.mean(2, keepdims=True)
        pixels = grey + (pixels - grey) * self.random.uniform(0.3, 1.6)
        pixels = 255 * (pixels.clip(0, 255) / 255) ** self.random.uniform(0.7, 1.4)
        return pixels.clip(0, 255).astype(np.uint8)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield self.queue.get()


def _tensor(crops: Pictures) -> Tensor:
    x = torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div_(255)
    return x.contiguous(memory_format=torch.channels_last)


class Training:
    """Everything that a step needs and that is saved."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options, self.state = options, options.output / "state.pt"
        torch.manual_seed(options.seed)
        self.own, squeeze = load_encoder("impasto-vgg"), load_encoder("squeezenet1_1")
        for encoder in (self.own, squeeze):
            encoder.to(memory_format=torch.channels_last)
        self.judge = PerceptualLoss(squeeze, *default_layers("squeezenet1_1"))
        self.second = PerceptualLoss(self.own, *default_layers("impasto-vgg"), CONTENT_STRENGTH, torch.bfloat16)
        widths = [value.shape[1] for value in self.own(torch.zeros(1, 3, 80, 80), READ_LAYERS).values()]
        self.model = AnyStyleNet(widths).to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        groups = [
            {"params": list(self.model.net.parameters()), "top": NET_RATE},
            {"params": list(self.model.reader.parameters()), "top": READER_RATE},
        ]
        self.optimizer = torch.optim.AdamW(groups, weight_decay=1e-4, fused=True)
        self.step, self.seconds = 0, 0.0
        if options.start and not self.state.exists():
            found = load_network(options.start).module.state_dict()
            self.model.load_state_dict(found)
            self.average.load_state_dict(found)
        if self.state.exists():
            saved = torch.load(self.state, weights_only=True)
            self.model.load_state_dict(saved["model"])
            self.average.load_state_dict(saved["average"])
            self.optimizer.load_state_dict(saved["optimizer"])
            self.step, self.seconds = saved["step"], saved["seconds"]
        if options.compile:
            self.model.net.compile(dynamic=False)

    def run(self) -> None:
        """Train until the minutes are over."""
        batches = Batches(Data(self.options.data), self.options.seed, self.step)
        budget, kept, began = 60 * self.options.minutes, self.seconds, time.monotonic()
        if not (self.options.start or self.state.exists()):
            seen = [moments(self.own, batches.queue.get()[1]) for _ in range(40)]
            self.model.reader.set_usual([torch.cat(each) for each in zip(*seen, strict=True)])
            self.average.reader.usual.copy_(self.model.reader.usual)
        recent: list[float] = []
        saved = began
        for contents, styles in batches:
            done = min(1.0, self.seconds / budget)
            if done >= 1:
                break
            recent.append(self._step(contents, styles, done))
            now = time.monotonic()
            self.seconds = kept + now - began
            if self.step % 100 == 0:
                print(f"{self.step} {self.seconds:.0f} s  loss {np.mean(recent):.4f}", flush=True)
                recent.clear()
            if now - saved > SAVE_EVERY:
                self.save()
                saved = now
        self.save()

    def _step(self, contents: Tensor, styles: Tensor, done: float) -> float:
        share = min(1.0, (self.step + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * done))
        for group in self.optimizer.param_groups:
            group["lr"] = max(share * group["top"], 1e-6)
        with torch.autocast("cpu", torch.bfloat16):
            painted = self.model.net(contents, self.model.read(self.own, styles).float())
        painted = painted.float()
        loss = self.judge(painted, contents, self.judge.targets(styles))
        shown = loss.detach().clamp(max=2).mean().item()
        loss = loss + self.second(painted, contents, self.second.targets(styles))
        # A nearly black style makes a share large; none counts more than if it were 1.
        loss = (loss / loss.detach().clamp(min=1)).mean()
        self.optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        if torch.isfinite(norm):
            self.optimizer.step()
        self.step += 1
        keep = min(0.999, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - keep)
        return shown

    def save(self) -> None:
        """Write the state, and the averaged weights in half precision."""
        own = {"model": self.model.state_dict(), "average": self.average.state_dict()}
        torch.save(
            {**own, "optimizer": self.optimizer.state_dict(), "step": self.step, "seconds": self.seconds},
            self.state.with_suffix(".part"),
        )
        self.state.with_suffix(".part").replace(self.state)
        facts = {
            "name": "impasto-any",
            "source": "training/train_any_style.py",
            "source_format": "impasto",
            "licence": "Apache-2.0",
            "encoder": self.own.name,
            "encoder_sha256": self.own.identity()["sha256"],
            "impasto": __version__,
            "training": {"steps": self.step, "seconds": round(self.seconds), "seed": self.options.seed},
        }
        half = copy.deepcopy(self.average).half()
        save_network(StyleNetwork(half, ANY, facts), self.options.output / "impasto-any.safetensors")


def main() -> None:
    """Train, or go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=70)
    parser.add_argument("--start", type=Path, help="go on from the weights of a finished training")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--compile", action="store_true", help="needs a C++ compiler; twice as fast")
    options = parser.parse_args()
    os.environ["IMPASTO_WEIGHTS"] = str(options.weights)
    options.output.mkdir(parents=True, exist_ok=True)
    Training(options).run()


if __name__ == "__main__":
    main()
