"""Train the embedded encoder ``impasto-vgg``: a narrow VGG, and a branch that recognises, taught by three networks.

    python training/train_encoder.py --data ../shared/data --weights ../shared/weights -o encoder-run

No label of any picture is used. Two phases, each a fixed number of steps:

1. *style*: relu1_1 .. relu3_4 follow the real VGG-19, relu4_1 .. relu5_1 follow vgg19-16x, of which the stack starts
   as a widened copy that computes the same;
2. *recognition*: the stack rests. The branch starts as SqueezeNet 1.0's fire5 .. fire9 behind two new convolutions
   that have to make fire4's map out of relu3_4, and learns SqueezeNet's last map, the map's mean, and the logits.

The five Caltech classes that the encoder is measured on, and louvre/validation, are never opened. A phase whose file
lies in the output folder is not run again.
"""

from __future__ import annotations

import argparse
import copy
import json
import math
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from impasto.encoders import ENCODERS
from impasto.encoders.stack import ImpastoVGG, VGGStack
from impasto.encoders.weights import fill

KEPT_OUT = {"scorpion", "crab", "butterfly", "crayfish", "lobster"}
VGG_LAYERS = ("relu1_1", "relu1_2", "relu2_1", "relu2_2", "relu3_1", "relu3_2", "relu3_3", "relu3_4")
SIXTEENTH_LAYERS = ("relu4_1", "relu4_2", "relu5_1")
FIRES = ("fire5", "fire6", "fire7", "fire8", "fire9")
NEW = ("adapt1", "adapt2")
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@dataclass(frozen=True)
class Phase:
    """One stretch of training: steps, crop in pixels, pictures a step, and learning rate."""

    name: str
    steps: int
    crop: int
    batch: int
    rate: float


PHASES = (Phase("style", 4500, 112, 16, 5e-4), Phase("recognition", 5000, 144, 32, 3e-4))
# The two convolutions that nothing is known of learn with batch norm (folded away at the end) and faster.
NEW_RATE = 4.0
# SqueezeNet's logits are sharp, their divergence starts near 10 nats where the other losses start near 1.
LOGITS_WEIGHT = 0.05


def training_files(data: Path) -> list[Path]:
    """All pictures that may be learned from, sorted."""
    folders = [path for path in sorted((data / "caltech101").iterdir()) if path.name not in KEPT_OUT]
    folders += sorted((data / "louvre" / "train").iterdir())
    folders += [data / name for name in ("photos", "artworks", "styles", "content")]
    return [path for folder in folders for path in sorted(folder.iterdir()) if path.suffix in {".jpg", ".png"}]


def load_small(path: Path, short: int = 192) -> np.ndarray:
    """Open a picture with its shorter side at ``short`` pixels and its longer side cut to 1.5 times that."""
    image = Image.open(path).convert("RGB")
    scale = short / min(image.size)
    image = image.resize(
        (max(short, round(image.width * scale)), max(short, round(image.height * scale))), Image.Resampling.LANCZOS
    )
    return np.asarray(image)[: short * 3 // 2, : short * 3 // 2]


class Batches(threading.Thread):
    """Augmented crops, prepared in the background: uint8 -> float B3HW in 0..1."""

    def __init__(self, pictures: list[np.ndarray], phase: Phase, seed: int) -> None:
        super().__init__(daemon=True)
        self.pictures, self.phase = pictures, phase
        self.random = np.random.default_rng([seed, phase.crop])
        self.queue: queue.Queue[Tensor] = queue.Queue(4)
        self.start()

    def run(self) -> None:
        """Fill the queue for ever; every picture comes once an epoch."""
        while True:
            order = self.random.permutation(len(self.pictures))
            for start in range(0, len(order) - self.phase.batch + 1, self.phase.batch):
                crops = [self._crop(self.pictures[index]) for index in order[start : start + self.phase.batch]]
                self.queue.put(torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float().div_(255))

    def _crop(self, picture: np.ndarray) -> np.ndarray:
        height, width = picture.shape[:2]
        area = height * width * self.random.uniform(0.3, 1.0)
        ratio = math.exp(self.random.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = min(width, round(math.sqrt(area * ratio))), min(height, round(math.sqrt(area / ratio)))
        left, top = self.random.integers(width - w + 1), self.random.integers(height - h + 1)
        size = (self.phase.crop, self.phase.crop)
        box = (left, top, left + w, top + h)
        crop = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC, box=box))
        return crop[:, ::-1] if self.random.random() < 0.5 else crop

    def __iter__(self) -> Iterator[Tensor]:
        while True:
            yield self.queue.get()


def mix(x: Tensor, random: np.random.Generator) -> Tensor:
    """Mixup without labels, in every second batch: the teacher is asked about the mixture (Beyer et al. 2022)."""
    if random.random() < 0.5:
        return x
    share = torch.from_numpy(random.uniform(0.0, 1.0, (len(x), 1, 1, 1))).float()
    return torch.lerp(x, x.roll(1, 0), share * 0.5)


def activations(net: nn.Module, x: Tensor, wanted: tuple[str, ...]) -> dict[str, Tensor]:
    """Run the children of ``net`` in order up to the last wanted one."""
    found: dict[str, Tensor] = {}
    for name, child in net.named_children():
        x = child(x)
        if name in wanted:
            found[name] = x
            if len(found) == len(wanted):
                break
    return found


class Teachers(nn.Module):
    """The three published networks, with their own preprocessing."""

    def __init__(self, weights: Path) -> None:
        super().__init__()
        self.vgg = ENCODERS["vgg19-blocks1-3"].build()
        fill(self.vgg, ENCODERS["vgg19-blocks1-3"], weights / "vgg19-blocks1-3.safetensors")
        self.sixteenth = ENCODERS["vgg19-16x"].build()
        fill(self.sixteenth, ENCODERS["vgg19-16x"], weights / "vgg19-16x.safetensors")
        self.squeeze = torchvision.models.squeezenet1_0(weights=None)
        self.squeeze.load_state_dict(load_file(weights / "squeezenet1_0.safetensors"))
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def scale_to(self, raw: Tensor) -> None:
        """Measure on a batch B3HW in 0..1: unit mean activation for the style teachers, SqueezeNet's deviations."""
        to_unit_activations(self.sixteenth, raw)
        to_unit_activations(self.vgg, (raw - MEAN) / STD)
        entrance, fire9 = self.recognised((raw - MEAN) / STD)
        self.entrance_unit = entrance.std((0, 2, 3)).view(1, -1, 1, 1)
        deviation = fire9.std((0, 2, 3))
        # A channel that is silent on this batch is measured in units of the quietest tenth of the others.
        self.unit = deviation.clamp(min=torch.quantile(deviation, 0.1).item()).view(1, -1, 1, 1)
        self.pooled_unit = fire9.mean((2, 3)).std(0).clamp(min=0.05 * self.unit.flatten())

    def recognised(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return SqueezeNet's map behind fire4's pooling and behind fire9."""
        fire4 = self.squeeze.features[:7](x)
        return fire4, self.squeeze.features[7:](fire4)

    def logits(self, fire9: Tensor) -> Tensor:
        """SqueezeNet's own classifier on a map of its last layer: B x 1000."""
        return F.relu(self.squeeze.classifier[1](fire9)).mean((2, 3))


@torch.no_grad()
def to_unit_activations(net: VGGStack, x: Tensor) -> None:
    """Rescale every convolution so that its mean activation on ``x`` is 1.

    ReLU networks are homogeneous, so only the scale of each layer changes. Without it the activations are in the
    hundreds and one step of Adam moves every layer too far.
    """
    for name, child in net.named_children():
        y = child(x)
        if name.startswith("conv"):
            mean = F.relu(y).mean()
            child.weight.div_(mean)
            child.bias.div_(mean)
            y = y / mean
        x = y


def widened(small: VGGStack) -> ImpastoVGG:
    """Return the student: its stack computes what ``small`` does on normalised RGB; new channels start unheard."""
    student = ImpastoVGG()
    with torch.no_grad():
        for name, conv in small.named_children():
            if not isinstance(conv, nn.Conv2d) or name == "input":
                continue
            target = getattr(student, name)
            outputs, inputs = conv.weight.shape[:2]
            nn.init.kaiming_normal_(target.weight, nonlinearity="relu")
            nn.init.zeros_(target.bias)
            target.weight[:outputs] = 0
            target.weight[:outputs, :inputs] = conv.weight
            target.bias[:outputs] = conv.bias
        # vgg19-16x takes 255 * BGR - mean through a 1x1 convolution, the student takes (RGB - MEAN) / STD.
        colour, first = small.input, student.conv1_1
        matrix = colour.weight[:, :, 0, 0]
        kernel = torch.einsum("oihw,ij->ojhw", small.conv1_1.weight, matrix)
        offset = torch.einsum("oihw,i->o", small.conv1_1.weight, colour.bias + matrix @ MEAN.flatten())
        first.weight[: len(kernel)] = kernel * STD.view(1, 3, 1, 1)
        first.bias[: len(kernel)] = small.conv1_1.bias + offset
    return student


class Student(nn.Module):
    """The encoder with the 1x1 maps to its teachers' channels, which are thrown away after training."""

    def __init__(self, teachers: Teachers) -> None:
        super().__init__()
        self.encoder = widened(teachers.sixteenth)
        branch = self.encoder.branch
        for name, index in zip(FIRES, (7, 8, 9, 10, 12), strict=True):
            getattr(branch, name).load_state_dict(teachers.squeeze.features[index].state_dict())
        # SqueezeNet's activations are in the hundreds here; what comes in front of its modules learns in units of 1.
        branch.fire5.squeeze.weight.data.mul_(teachers.entrance_unit)
        for name in NEW:
            conv = getattr(branch, name)
            nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
            setattr(branch, name, nn.Sequential(conv, nn.BatchNorm2d(conv.out_channels)))
        self.adapters = nn.ModuleDict()
        for name in VGG_LAYERS:
            own, taught = (getattr(net, name.replace("relu", "conv")) for net in (self.encoder, teachers.vgg))
            self.adapters[name] = nn.Conv2d(own.out_channels, taught.out_channels, 1)

    @torch.no_grad()
    def folded(self) -> dict[str, Tensor]:
        """Return the encoder's weights with batch norm folded into its convolutions, in half precision."""
        plain = copy.deepcopy(self.encoder).eval()
        for name in NEW:
            conv, norm = getattr(plain.branch, name)
            setattr(plain.branch, name, nn.utils.fuse_conv_bn_eval(conv, norm))
        return {key: value.half().contiguous() for key, value in plain.state_dict().items()}

    @torch.no_grad()
    def fit_adapters(self, teachers: Teachers, x: Tensor) -> None:
        """Start the shallow maps at their least-squares solution on a batch."""
        own, taught = activations(self.encoder, x, VGG_LAYERS), activations(teachers.vgg, x, VGG_LAYERS)
        for name in VGG_LAYERS:
            a = own[name].movedim(1, -1).flatten(0, -2).double()
            a = torch.cat([a, torch.ones_like(a[:, :1])], 1)
            b = taught[name].movedim(1, -1).flatten(0, -2).double()
            ridge = a.T @ a + 1e-3 * (a.T @ a).diagonal().mean() * torch.eye(a.shape[1], dtype=a.dtype)
            solution = torch.linalg.solve(ridge, a.T @ b).T.float()
            self.adapters[name].weight.copy_(solution[:, :-1, None, None])
            self.adapters[name].bias.copy_(solution[:, -1])


def relative_error(prediction: Tensor, target: Tensor) -> Tensor:
    """Squared error as a share of the target's variance: 0 perfect, 1 no better than the mean."""
    prediction, target = prediction.float(), target.float()
    return (prediction - target).square().mean() / (target - target.mean((0, 2, 3), keepdim=True)).square().mean()


def shallow_loss(student: Student, teachers: Teachers, own: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """How far relu1_1 .. relu3_4 are from the real VGG-19."""
    with torch.no_grad():
        taught = activations(teachers.vgg, x, VGG_LAYERS)
    losses = {}
    for name in VGG_LAYERS:
        # Neighbouring pixels of the large maps say nearly the same: compare every fourth, every second, every one.
        stride = {"1": 4, "2": 2, "3": 1}[name[4]]
        thinned = own[name][: len(x), :, ::stride, ::stride]
        losses[name] = relative_error(student.adapters[name](thinned), taught[name][:, :, ::stride, ::stride])
    return losses


def middle_loss(teachers: Teachers, own: dict[str, Tensor], raw: Tensor) -> dict[str, Tensor]:
    """How far relu4_1 .. relu5_1 are from vgg19-16x, channel by channel."""
    with torch.no_grad():
        taught = activations(teachers.sixteenth, raw, SIXTEENTH_LAYERS)
    # This teacher reflects at the border where the student sees zeros: the outermost pixels are not compared.
    inner = (..., slice(1, -1), slice(1, -1))
    return {name: relative_error(own[name][: len(raw)][inner], taught[name][inner]) for name in SIXTEENTH_LAYERS}


def recognition_loss(student: Student, teachers: Teachers, x: Tensor, temperature: float = 1.5) -> dict[str, Tensor]:
    """How far the branch is from SqueezeNet: at its entrance, its last map, the map's mean, and the logits."""
    with torch.no_grad():
        below = activations(student.encoder, x, ("relu3_4",))["relu3_4"]
        entrance, taught = (value.float() for value in teachers.recognised(x))
        answer = teachers.logits(taught).float() / temperature
    own = activations(student.encoder.branch, below, ("relu2", "fire9"))
    # SqueezeNet does not pad its first layer, so its maps are a pixel smaller than ours.
    at_entrance, guess = (
        F.interpolate(own[name].float(), like.shape[2:], mode="bilinear", align_corners=False)
        for name, like in (("relu2", entrance), ("fire9", taught))
    )
    logits = teachers.logits(guess).float() / temperature
    divergence = F.kl_div(logits.log_softmax(1), answer.softmax(1), reduction="batchmean")
    return {
        "entrance": relative_error(at_entrance, entrance / teachers.entrance_unit),
        "map": ((guess - taught) / teachers.unit).square().mean(),
        "pooled": ((guess.mean((2, 3)) - taught.mean((2, 3))) / teachers.pooled_unit).square().mean(),
        "logits": LOGITS_WEIGHT * temperature**2 * divergence,
    }


def step_losses(
    phase: Phase, student: Student, teachers: Teachers, raw: Tensor, random: np.random.Generator
) -> dict[str, Tensor]:
    """All losses of one batch, by name."""
    if phase.name == "recognition":
        raw = mix(raw, random)
    x = ((raw - MEAN) / STD).contiguous(memory_format=torch.channels_last)
    if phase.name == "recognition":
        return recognition_loss(student, teachers, x)
    own = activations(student.encoder, x, (*VGG_LAYERS, *SIXTEENTH_LAYERS))
    return middle_loss(teachers, own, raw) | shallow_loss(student, teachers, own, x)


def optimizer_of(phase: Phase, student: Student) -> torch.optim.Optimizer:
    """Let the phase's own part of the student learn, and nothing else."""
    for name, parameter in student.named_parameters():
        parameter.requires_grad_(("branch" in name) == (phase.name == "recognition"))
    active = [(name, parameter) for name, parameter in student.named_parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for name, p in active if any(new in name for new in NEW) == is_new], "factor": factor}
        for is_new, factor in ((True, NEW_RATE), (False, 1.0))
    ]
    return torch.optim.AdamW(groups, lr=phase.rate, weight_decay=1e-4)


def train_phase(
    phase: Phase, student: Student, teachers: Teachers, pictures: list[np.ndarray], seed: int
) -> list[dict[str, object]]:
    """Run one phase and return its log; the learning rate warms up and falls as a cosine."""
    random = np.random.default_rng([seed, 100 + PHASES.index(phase)])
    start = time.monotonic()
    optimizer = optimizer_of(phase, student)
    average: dict[str, float] = {}
    log: list[dict[str, object]] = []
    for step, raw in zip(range(phase.steps), Batches(pictures, phase, seed), strict=False):
        rate = phase.rate * min(1.0, (step + 1) / 200) * (0.5 + 0.5 * math.cos(math.pi * step / phase.steps))
        for group in optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        with torch.autocast("cpu", torch.bfloat16):
            losses = step_losses(phase, student, teachers, raw, random)
        optimizer.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        nn.utils.clip_grad_norm_(student.parameters(), 5.0)
        optimizer.step()
        for name, value in losses.items():
            average[name] = 0.98 * average.get(name, value.item()) + 0.02 * value.item()
        if step % 100 == 0 or step == phase.steps - 1:
            rounded = {name: round(value, 4) for name, value in average.items()}
            log.append({"phase": phase.name, "step": step, "seconds": round(time.monotonic() - start), **rounded})
            print(json.dumps(log[-1]), flush=True)
    return log


def main() -> None:
    """Train; write impasto-vgg.safetensors (half precision), and state and log of each phase."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    pictures = [load_small(path) for path in training_files(options.data)]
    print(f"{len(pictures)} pictures", flush=True)
    teachers = Teachers(options.weights).to(memory_format=torch.channels_last)
    sample = next(iter(Batches(pictures, Phase("sample", 1, 128, 192, 0), options.seed)))
    teachers.scale_to(sample)
    student = Student(teachers).to(memory_format=torch.channels_last)
    student.fit_adapters(teachers, (sample[:32] - MEAN) / STD)
    for phase in PHASES:
        done = options.output / f"{phase.name}.safetensors"
        if done.exists():
            student.load_state_dict(load_file(done))
            continue
        log = train_phase(phase, student, teachers, pictures, options.seed)
        save_file({key: value.contiguous() for key, value in student.state_dict().items()}, done)
        (options.output / f"{phase.name}.json").write_text(json.dumps({"phase": asdict(phase), "log": log}, indent=1))
    save_file(student.folded(), options.output / "impasto-vgg.safetensors")


if __name__ == "__main__":
    main()
