"""Importers of foreign networks, against files written here by the formats' published descriptions.

The writers below share nothing with the readers but the checksum, which is held against RFC 3720.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from impasto.errors import ImpastoError, MissingWeightsError, WrongWeightsError
from impasto.files import file_digest
from impasto.style.checkpoints import import_network, load_network, save_network
from impasto.style.foreign import deeplearnjs, ncnn, onnx_file, tensorflow
from impasto.style.foreign.checksum import crc32c
from impasto.style.foreign.wire import Message
from impasto.style.networks import EngstromNet, PyTorchExamplesNet

Bytes = Callable[[bytes], bytes]
State = dict[str, Tensor]

same = lambda block: block  # noqa: E731


def random_network(module: nn.Module, seed: int = 0) -> nn.Module:
    """Every parameter random and a number of float16, so that no two are alike and halves lose nothing."""
    maker = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.data = (torch.randn(parameter.shape, generator=maker) * 0.1).half().float()
    return module.eval()


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Pictures of 16 pixels: on a busy machine two threads wait for each other most of the time."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def engstrom() -> nn.Module:
    return random_network(EngstromNet())


@pytest.fixture(scope="module")
def examples() -> nn.Module:
    return random_network(PyTorchExamplesNet(4))


# Writers: protobuf and tables.


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, value: int | bytes | str) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def checksum(data: bytes) -> bytes:
    crc = crc32c(data)
    return (((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32).to_bytes(4, "little")


def block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """Prefixes are shared but for every third entry, which begins anew."""
    result, restarts, former = b"", [], b""
    for number, (key, value) in enumerate(entries):
        shared = 0
        if number % 3 == 0:
            restarts.append(len(result))
        else:
            shared = next((i for i, (a, b) in enumerate(zip(key, former, strict=False)) if a != b), len(former))
        result += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        former = key
    numbers = [*(restarts or [0]), len(restarts or [0])]
    return result + b"".join(number.to_bytes(4, "little") for number in numbers)


def table(records: dict[bytes, bytes], spoil: Bytes = same, compression: bytes = b"\0") -> bytes:
    """Five records a block; ``spoil`` changes a block before its checksum is taken."""
    result, index = b"", []

    def add(content: bytes) -> bytes:
        nonlocal result
        content = spoil(content)
        handle = varint(len(result)) + varint(len(content))
        result += content + compression + checksum(content + compression)
        return handle

    items = sorted(records.items())
    for start in range(0, len(items), 5):
        piece = items[start : start + 5]
        index.append((piece[-1][0], add(block(piece))))
    footer = add(block([])) + add(block(index))
    return result + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def shape_proto(tensor: Tensor) -> bytes:
    return b"".join(field(2, field(1, side)) for side in tensor.shape)


def raw(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().numpy().tobytes()


def write_v1(path: Path, tensors: State, spoil: Bytes = same, extent: bytes = b"", compression: bytes = b"\0") -> Path:
    metas, records = b"", {}
    kinds = {torch.float32: 1, torch.int64: 9}
    for name, tensor in tensors.items():
        part = field(1, extent) * tensor.ndim
        metas += field(
            1, field(1, name) + field(2, shape_proto(tensor)) + field(3, kinds[tensor.dtype]) + field(4, part)
        )
        number = 5 if tensor.dtype == torch.float32 else 10
        values = raw(tensor) if number == 5 else b"".join(map(varint, tensor.flatten().tolist()))
        key = b"\0" + name.encode() + b"\0\1\1" + bytes([tensor.ndim]) + b"\x80\x7f" * tensor.ndim
        records[key] = field(2, field(1, name) + field(2, part) + field(3, field(number, values)))
    path.write_bytes(table({b"": field(1, metas), **records}, spoil, compression))
    return path


def write_v2(path: Path, tensors: State, spoil: Bytes = same) -> Path:
    data, records = b"", {b"": field(1, 1) + field(3, field(1, 1))}
    for name, tensor in sorted(tensors.items()):
        piece = raw(tensor)
        entry = field(1, 1 if tensor.dtype == torch.float32 else 9) + field(2, shape_proto(tensor))
        entry += field(4, len(data)) + field(5, len(piece)) + varint(6 << 3 | 5) + checksum(piece)
        records[name.encode()] = entry
        data += piece
    path.with_name(path.name + ".index").write_bytes(table(records, spoil))
    path.with_name(path.name + ".data-00000-of-00001").write_bytes(data)
    return path.with_name(path.name + ".index")


def write_deeplearnjs(path: Path, tensors: State) -> Path:
    path.mkdir(exist_ok=True)
    manifest = {}
    for name, tensor in tensors.items():
        manifest[name] = {"filename": name.replace("/", "_"), "shape": list(tensor.shape)}
        (path / name.replace("/", "_")).write_bytes(raw(tensor.float()))
    (path / "manifest.json").write_text(json.dumps(manifest))
    return path


def variables(module: nn.Module) -> State:
    """As R0's training saves them: TensorFlow's order of axes, with Adam's slots and counters."""
    state, result = module.state_dict(), {}
    layers = ["conv1", "conv2", "conv3", *(f"res{n // 2 + 1}.conv{n % 2 + 1}" for n in range(10)), "up1", "up2"]
    for layer in [*layers, "conv_out"]:
        kernel = state[f"{layer}.weight"].permute(2, 3, 1, 0)
        for tensor in (kernel, state[f"{layer}.norm.bias"], state[f"{layer}.norm.weight"]):
            result[f"Variable_{len(result)}" if result else "Variable"] = tensor
    slots = {"Variable_1/Adam": torch.ones(32), "Variable_1/Adam_1": torch.ones(32), "beta1_power": torch.tensor(0.9)}
    return result | slots | {"global_step": torch.tensor(7)}


# Writers: networks of pytorch/examples.


def layers_of(module: nn.Module) -> list[tuple[str, Tensor, Tensor]]:
    residuals = [f"res{n}.{part}" for n in range(1, 6) for part in ("conv1.conv2d", "in1", "conv2.conv2d", "in2")]
    names = ["conv1.conv2d", "in1", "conv2.conv2d", "in2", "conv3.conv2d", "in3", *residuals]
    state = module.state_dict()
    names += ["deconv1.conv2d", "in4", "deconv2.conv2d", "in5", "deconv3.conv2d"]
    return [(name, state[f"{name}.weight"], state[f"{name}.bias"]) for name in names]


def write_ncnn(path: Path, module: nn.Module, *, half: bool = False, param: bool = True) -> Path:
    lines, data = ["Input input1 0 1 input1"], b""
    for name, weight, bias in layers_of(module):
        if weight.ndim == 1:
            lines.append(f"InstanceNorm {name} 1 1 a b 0={len(weight)} 1=1.000000e-05")
            data += raw(weight) + raw(bias)
            continue
        lines += ["Padding pad 1 1 a b 0=1 1=1 2=1 3=1 4=2", "ReLU relu 1 1 a b"]
        lines.append(f"Convolution {name} 1 1 a b 0={len(weight)} 1={weight.shape[-1]} 5=1 6={weight.numel()}")
        piece = raw(weight.half()) if half else raw(weight)
        data += (b"\x47\x6b\x30\x01" if half else b"\0\0\0\0") + piece + b"\0" * (-len(piece) % 4) + raw(bias)
    path.write_bytes(data)
    if param:
        path.with_suffix(".param").write_text("\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines]) + "\n")
    return path


def onnx_tensor(name: str, tensor: Tensor, *, half: bool = False, floats: bool = False, extra: bytes = b"") -> bytes:
    dims = b"".join(field(1, side) for side in tensor.shape)
    data = raw(tensor.half() if half else tensor)
    return dims + field(2, 10 if half else 1) + field(8, name) + field(4 if floats else 9, data) + extra


def write_onnx(path: Path, module: nn.Module, extra: bytes = b"", *, half: bool = False, floats: bool = False) -> Path:
    """Tensors are numbered backwards, as an old exporter might: names must not matter."""
    nodes, initializers = field(1, field(1, "0") + field(4, "Pad")), b""
    for number, (_, weight, bias) in enumerate(layers_of(module)):
        kind = "Conv" if weight.ndim == 4 else "InstanceNormalization"
        names = [f"{999 - 2 * number}", f"{998 - 2 * number}"]
        nodes += field(1, b"".join(field(1, name) for name in ("x", *names)) + field(2, "y") + field(4, kind))
        for name, tensor in zip(names, (weight, bias), strict=True):
            content = onnx_tensor(name, tensor, half=half, floats=floats, extra=extra)
            initializers = field(5, content) + initializers
    graph = field(7, nodes + field(2, "graph") + initializers)
    path.write_bytes(field(1, 6) + field(2, "pytorch") + graph + field(8, field(2, 11)))
    return path


def write_torch(path: Path, state: State, *, legacy: bool = False) -> Path:
    torch.save(state, path, _use_new_zipfile_serialization=not legacy)
    return path


def as_old_training_left_it(module: nn.Module) -> State:
    state = {f"module.{key}": value for key, value in module.state_dict().items()}
    return state | {"module.in1.running_mean": torch.zeros(4), "module.res1.in2.running_var": torch.ones(16)}


def halves(module: nn.Module) -> State:
    return {key: value.half() for key, value in module.state_dict().items()}


def write_safetensors(path: Path, module: nn.Module) -> Path:
    save_file(module.state_dict(), path)
    return path


EXAMPLES: dict[str, Callable[[Path, nn.Module], Path]] = {
    "safetensors": lambda folder, net: write_safetensors(folder / "net.bin", net),
    "torch": lambda folder, net: write_torch(folder / "net.model", net.state_dict()),
    "torch-legacy": lambda folder, net: write_torch(folder / "net.pth", net.state_dict(), legacy=True),
    "torch-nested": lambda folder, net: write_torch(folder / "net.pt", {"epoch": 3, "state_dict": net.state_dict()}),
    "torch-old": lambda folder, net: write_torch(folder / "net", as_old_training_left_it(net), legacy=True),
    "torch-half": lambda folder, net: write_torch(folder / "net.pth", halves(net)),
    "ncnn": lambda folder, net: write_ncnn(folder / "net.bin", net),
    "ncnn-by-param": lambda folder, net: write_ncnn(folder / "net.bin", net).with_suffix(".param"),
    "ncnn-bare": lambda folder, net: write_ncnn(folder / "weights", net, param=False),
    "ncnn-half": lambda folder, net: write_ncnn(folder / "net.bin", net, half=True),
    "ncnn-half-bare": lambda folder, net: write_ncnn(folder / "net.bin", net, half=True, param=False),
    "onnx": lambda folder, net: write_onnx(folder / "net.onnx", net),
    "onnx-floats": lambda folder, net: write_onnx(folder / "net", net, floats=True),
    "onnx-half": lambda folder, net: write_onnx(folder / "net.onnx", net, half=True),
}
ENGSTROM: dict[str, Callable[[Path, nn.Module], Path]] = {
    "safetensors": lambda folder, net: write_safetensors(folder / "net.safetensors", net),
    "v1": lambda folder, net: write_v1(folder / "net.ckpt", variables(net)),
    "v2": lambda folder, net: write_v2(folder / "net.ckpt", variables(net)),
    "v2-by-prefix": lambda folder, net: write_v2(folder / "net.ckpt", variables(net)).with_suffix(""),
    "v2-by-data": lambda folder, net: write_v2(folder / "net.ckpt", variables(net)).with_suffix(".data-00000-of-00001"),
    "deeplearnjs": lambda folder, net: write_deeplearnjs(folder / "net", variables(net)),
}


def assert_same(one: nn.Module, other: nn.Module) -> None:
    assert one.state_dict().keys() == other.state_dict().keys()
    for key, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[key], value), key
    picture = torch.rand(1, 3, 16, 20, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.equal(one(picture), other(picture))


@pytest.mark.parametrize("kind", EXAMPLES)
def test_a_network_of_pytorch_examples_is_imported_whole(kind: str, tmp_path: Path, examples: nn.Module) -> None:
    network = import_network(EXAMPLES[kind](tmp_path, examples))
    assert (network.architecture, network.facts["width"]) == ("pytorch-examples", 4)
    assert not network.module.training
    assert_same(network.module, examples)


@pytest.mark.parametrize("kind", ENGSTROM)
def test_a_network_of_r0_is_imported_whole(kind: str, tmp_path: Path, engstrom: nn.Module) -> None:
    network = import_network(ENGSTROM[kind](tmp_path, engstrom))
    assert (network.architecture, network.facts["width"], network.facts["name"]) == ("engstrom", 32, "net")
    assert_same(network.module, engstrom)


def test_kernels_mean_what_tensorflow_defines(tmp_path: Path) -> None:
    """conv2d: out[o] = sum in[h, w, i] k[h, w, i, o]; conv2d_transpose: out[h, w, o] = sum in[i] k[h, w, o, i]."""
    stored = variables(random_network(EngstromNet(), 5))
    module = import_network(write_v1(tmp_path / "net.ckpt", stored)).module
    patch, pixel = torch.randn(9, 9, 3), torch.randn(128)
    convolved = F.conv2d(patch.permute(2, 0, 1)[None], module.conv1.weight).flatten()
    assert torch.allclose(convolved, torch.einsum("hwi,hwio->o", patch, stored["Variable"]), atol=1e-4)
    spread = F.conv_transpose2d(pixel[None, :, None, None], module.up1.weight, stride=2)[0].permute(1, 2, 0)
    assert torch.allclose(spread, torch.einsum("i,hwoi->hwo", pixel, stored["Variable_39"]), atol=1e-4)
    assert torch.equal(module.up1.norm.bias, stored["Variable_40"])
    assert torch.equal(module.up1.norm.weight, stored["Variable_41"])


@pytest.mark.parametrize("write", [write_v1, write_v2])
def test_a_checkpoint_of_tensorflow_is_read_back(write: Callable[[Path, State], Path], tmp_path: Path) -> None:
    names = [f"deep/scope_{number}/kernel" for number in range(12)]
    tensors = {name: torch.randn(2, number, 3) for number, name in enumerate(names)}
    tensors |= {"scalar": torch.tensor(2.5), "large": torch.randn(70, 50), "global_step": torch.tensor(300)}
    found = tensorflow.read(write(tmp_path / "x.ckpt", tensors))
    assert found.keys() == tensors.keys() - {"global_step"}
    assert all(torch.equal(tensor, tensors[name]) for name, tensor in found.items())


def test_facts_say_where_a_network_is_from(tmp_path: Path, examples: nn.Module) -> None:
    path = EXAMPLES["torch"](tmp_path, examples)
    facts = import_network(path, name="Candy", licence="BSD-3-Clause").facts
    assert facts["source_sha256"] == file_digest(path)
    kept = {key: facts[key] for key in ("name", "source", "source_format", "licence", "width")}
    assert kept == {
        "name": "Candy", "source": "net.model", "source_format": "PyTorch", "licence": "BSD-3-Clause", "width": 4
    }  # fmt: skip


def test_the_digest_of_several_files_covers_each(tmp_path: Path, engstrom: nn.Module) -> None:
    path = ENGSTROM["deeplearnjs"](tmp_path, engstrom)
    before = import_network(path).facts["source_sha256"]
    (path / "beta1_power").write_bytes(raw(torch.tensor(0.8)))
    assert import_network(path).facts["source_sha256"] != before


# impasto's own file.


def test_a_network_is_saved_and_loaded(tmp_path: Path, examples: nn.Module) -> None:
    network = import_network(EXAMPLES["torch"](tmp_path, examples), licence="MIT")
    save_network(network, tmp_path / "one.safetensors")
    again = load_network(tmp_path / "one.safetensors")
    assert (again.architecture, again.facts) == (network.architecture, network.facts)
    assert_same(again.module, examples)
    save_network(again, tmp_path / "two.safetensors")
    assert (tmp_path / "one.safetensors").read_bytes() == (tmp_path / "two.safetensors").read_bytes()


def test_tensors_that_shared_memory_are_apart_after_import(tmp_path: Path) -> None:
    state = PyTorchExamplesNet(2).state_dict()
    network = import_network(write_torch(tmp_path / "x.pth", state | {"in1.bias": state["in1.weight"]}))
    save_network(network, tmp_path / "x.safetensors")
    with torch.no_grad():
        network.module.in1.bias += 1
    assert torch.equal(network.module.in1.weight, torch.ones(2))


@pytest.mark.parametrize(
    ("about", "says"),
    [(None, "which network"), ("[]", "which network"), ('{"architecture": "unet", "facts": {}}', "unet"),
     ('{"architecture": "engstrom", "facts": {}}', "lacks conv1.norm")],
)  # fmt: skip
def test_load_checks_what_the_file_says_it_is(about: str | None, says: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file(PyTorchExamplesNet(1).state_dict(), path, metadata={"impasto": about} if about else None)
    with pytest.raises(WrongWeightsError, match=says):
        load_network(path)


# Files that are refused.


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("kind", EXAMPLES)
def test_no_number_may_be_nan_or_infinite(kind: str, bad: float, tmp_path: Path) -> None:
    module = random_network(PyTorchExamplesNet(1))
    module.res2.in1.bias.data[3] = bad
    with pytest.raises(WrongWeightsError, match=r"NaN or infinity in .*res2\.in1\.bias"):
        import_network(EXAMPLES[kind](tmp_path, module))


def test_other_shapes_are_named_with_the_wanted_ones(tmp_path: Path, engstrom: nn.Module) -> None:
    state = PyTorchExamplesNet(2).state_dict() | {"res3.conv1.conv2d.weight": torch.zeros(8, 8, 3, 5)}
    with pytest.raises(WrongWeightsError, match=r"res3\.conv1\.conv2d\.weight .*\(8, 8, 3, 5\) where \(8, 8, 3, 3\)"):
        import_network(write_torch(tmp_path / "x.pth", state))
    swapped = variables(engstrom) | {"Variable_39": torch.zeros(3, 3, 128, 64)}
    with pytest.raises(WrongWeightsError, match=r"Variable_39 \(up1\.weight\) .*\(3, 3, 128, 64\) where \(3, 3, 64, 1"):
        import_network(write_v1(tmp_path / "x.ckpt", swapped))


def test_missing_and_unknown_tensors_are_named(tmp_path: Path) -> None:
    state = PyTorchExamplesNet(1).state_dict()
    state["extra.weight"] = state.pop("in4.bias")
    with pytest.raises(WrongWeightsError, match=r"lacks in4\.bias and has the unknown extra\.weight"):
        import_network(write_torch(tmp_path / "x.pth", state))
    with pytest.raises(WrongWeightsError, match="unknown Variable_48"):
        import_network(write_v2(tmp_path / "x", variables(EngstromNet()) | {"Variable_48": torch.ones(3)}))


def test_whole_numbers_are_refused(tmp_path: Path) -> None:
    state = PyTorchExamplesNet(1).state_dict() | {"in1.bias": torch.ones(1, dtype=torch.int64)}
    with pytest.raises(WrongWeightsError, match=r"in1\.bias is of the type torch\.int64"):
        import_network(write_torch(tmp_path / "x.pth", state))


class Evil:
    """Touches a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_pickle_does_not_run(legacy: bool, tmp_path: Path) -> None:
    path = write_torch(tmp_path / "x.pth", {"conv1": Evil(tmp_path / "ran")}, legacy=legacy)  # type: ignore[dict-item]
    with pytest.raises(WrongWeightsError, match=r"x\.pth .*wants to run code"):
        import_network(path)
    assert not (tmp_path / "ran").exists()


def test_a_view_that_claims_terabytes_costs_nothing(tmp_path: Path) -> None:
    state = PyTorchExamplesNet(1).state_dict() | {"in1.bias": torch.zeros(1).expand(2**45)}
    with pytest.raises(WrongWeightsError, match=r"\(35184372088832,\) where \(1,\)"):
        import_network(write_torch(tmp_path / "x.pth", state))
    with pytest.raises(WrongWeightsError, match=r"conv1\.conv2d\.weight of 35184372088832 channels"):
        import_network(write_torch(tmp_path / "x.pth", state | {"conv1.conv2d.weight": state["in1.bias"]}))


def test_a_compressed_archive_is_not_unfolded(tmp_path: Path) -> None:
    write_torch(tmp_path / "x.pth", {"a": torch.zeros(100_000)})
    with zipfile.ZipFile(tmp_path / "x.pth") as old, zipfile.ZipFile(tmp_path / "y.pth", "w") as new:
        for item in old.infolist():
            new.writestr(item.filename, old.read(item), zipfile.ZIP_DEFLATED)
    with pytest.raises(WrongWeightsError, match=r"y\.pth .*compressed"):
        import_network(tmp_path / "y.pth")


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..", "a/b", "C:\\x", "", None, 3])
def test_a_manifest_cannot_name_files_outside_its_folder(name: object, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"\0" * 4)
    folder = write_deeplearnjs(tmp_path / "x", {"Variable": torch.ones(1)})
    (folder / "manifest.json").write_text(json.dumps({"Variable": {"filename": name, "shape": [1]}}))
    with pytest.raises(WrongWeightsError, match=r"x is no deeplearn\.js .*manifest"):
        deeplearnjs.read(folder)


@pytest.mark.parametrize(
    "manifest", ["[]", "{", '{"a": 1}', '{"a": {"filename": "f"}}', '{"a": {"filename": "f", "shape": [1.0]}}',
                 '{"a": {"filename": "f", "shape": [1, -1, -1]}}', '{"a": {"filename": "f", "shape": [99999999999]}}',
                 '{"a": {"filename": "f", "shape": [1]}, "b": {"filename": "f", "shape": [1]}}', "[" * 100_000],
)  # fmt: skip
def test_a_damaged_manifest_is_refused(manifest: str, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"\0" * 4)
    (tmp_path / "manifest.json").write_text(manifest)
    with pytest.raises(WrongWeightsError):
        import_network(tmp_path)


@pytest.mark.parametrize(
    ("flag", "says"),
    [("384b0d00", "int8"), ("56c00200", "scales for int8"), ("01020304", "256 values")],
)
def test_quantised_ncnn_is_refused(flag: str, says: str, tmp_path: Path, examples: nn.Module) -> None:
    path = write_ncnn(tmp_path / "net.bin", examples)
    path.write_bytes(bytes.fromhex(flag) + path.read_bytes()[4:])
    with pytest.raises(WrongWeightsError, match=rf"net\.bin .*byte 0 is the flag .*{says}"):
        ncnn.read(path)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [("5=1", "5=0", "no bias"), ("5=1", "5=1 8=2", "quantised"), ("6=972", "6=973", "whole number"),
     ("6=972", "6=1944", "another layer"), ("0=4", "0=99999999999999999", "net"), ("6=972", "6=" + "9" * 5000, "net"),
     ("1 1 a", "1 x a", "net"), ("7767517", "7767518", "7767517"), ("Re", "PRe", "type PReLU"),
     ("Convolution", "Deconvolution", "type Deconvolution")],
)  # fmt: skip
def test_a_param_of_another_network_is_refused(
    old: str, new: str, says: str, tmp_path: Path, examples: nn.Module
) -> None:
    path = write_ncnn(tmp_path / "net.bin", examples)
    text = path.with_suffix(".param").read_text()
    path.with_suffix(".param").write_text(text.replace(old, new, 1))
    with pytest.raises(WrongWeightsError, match=says):
        ncnn.read(path)


def test_ncnn_weights_that_are_left_over_are_refused(tmp_path: Path, examples: nn.Module) -> None:
    path = write_ncnn(tmp_path / "net.bin", examples)
    path.write_bytes(path.read_bytes() + bytes(4))
    with pytest.raises(WrongWeightsError, match="its layers need"):
        ncnn.read(path)
    path.with_suffix(".param").unlink()
    with pytest.raises(WrongWeightsError, match="no width"):
        ncnn.read(path)


def test_weights_outside_an_onnx_file_are_refused(tmp_path: Path, examples: nn.Module) -> None:
    with pytest.raises(WrongWeightsError, match="lies in another file"):
        onnx_file.read(write_onnx(tmp_path / "net.onnx", examples, field(14, 1)))


def test_what_tensorflow_may_store_otherwise_is_refused_clearly(tmp_path: Path) -> None:
    tensors = {"Variable": torch.randn(6)}
    with pytest.raises(WrongWeightsError, match="compressed \\(Snappy\\)"):
        tensorflow.read(write_v1(tmp_path / "x.ckpt", tensors, compression=b"\1"))
    with pytest.raises(WrongWeightsError, match="stored in parts"):
        tensorflow.read(write_v1(tmp_path / "x.ckpt", tensors, extent=field(1, 0) + field(2, 6)))
    for header, says in ((field(1, 2), "2 data files"), (field(1, 1) + field(2, 1), "big-endian")):
        (tmp_path / "y.index").write_bytes(table({b"": header}))
        with pytest.raises(WrongWeightsError, match=says):
            tensorflow.read(tmp_path / "y.index")


def test_sizes_that_a_checkpoint_claims_cost_nothing(tmp_path: Path) -> None:
    index = write_v2(tmp_path / "x", {"Variable": torch.randn(6)})
    for place, size, shape in ((0, 2**50, 2**48), (2**50, 24, 6), (0, 24, 2**50), (0, 24, 2**64 - 1)):
        entry = field(1, 1) + field(2, field(2, field(1, shape))) + field(4, place) + field(5, size)
        index.write_bytes(table({b"": field(1, 1), b"Variable": entry}))
        with pytest.raises(WrongWeightsError, match=r"x\.index"):
            tensorflow.read(index)


def test_the_same_bytes_cannot_be_claimed_twice(tmp_path: Path) -> None:
    """A small file with a thousand references to one place would need a thousand times its size."""
    index = write_v2(tmp_path / "x", {"Variable": torch.randn(6)})
    entry = field(1, 1) + field(2, field(2, field(1, 6))) + field(5, 24)
    index.write_bytes(table({b"": field(1, 1), b"Variable": entry, b"Variable_1": entry}))
    with pytest.raises(WrongWeightsError, match="larger than"):
        tensorflow.read(index)
    size = len(block([(b"", b"x" * 999)]))
    handle = varint(0) + varint(size)
    twice = block([(b"a", handle), (b"b", handle)])
    index.write_bytes(table({b"": b"x" * 999}, lambda content: twice if handle in content else content))
    with pytest.raises(WrongWeightsError, match="overlap"):
        tensorflow.read(index)
    folder = write_deeplearnjs(tmp_path / "y", {"a": torch.ones(1), "b": torch.ones(1)})
    (folder / "b").unlink()
    (folder / "b").symlink_to(folder / "a")
    with pytest.raises(WrongWeightsError, match="a file twice"):
        deeplearnjs.read(folder)


@pytest.mark.parametrize("head", [b"\5\1\1", b"\0\x88\x27\0" + b"x" * 5000, b"\0\1\x7f"])
def test_a_record_has_to_stay_in_its_block(head: bytes, tmp_path: Path) -> None:
    """A key that shares more than there is, a key of 5000 bytes, a value of 127 bytes where two are."""
    spoilt = head + b"ab" + b"\0\0\0\0\1\0\0\0"
    (tmp_path / "x.ckpt").write_bytes(table({b"": b"x" * 999}, lambda block: spoilt if b"xxx" in block else block))
    with pytest.raises(WrongWeightsError, match="a record runs past its block"):
        tensorflow.read(tmp_path / "x.ckpt")


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"\x0a\x05abcd", "past the end"), (b"\x0d\0\0\0", "past the end"), (b"\x0b", "wire type 3"),
     (b"\xff" * 11, "does not end"), (b"\x08\x80", "does not end"), (b"\x08\1", "a number where bytes must be")],
)  # fmt: skip
def test_a_damaged_message_is_no_message(data: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Message(memoryview(data)).joined(1)


@pytest.mark.parametrize("write", [write_v1, write_v2])
def test_a_flipped_bit_in_the_weights_is_noticed(write: Callable[[Path, State], Path], tmp_path: Path) -> None:
    path = write(tmp_path / "x.ckpt", {"Variable": torch.randn(300)})
    data = path if write is write_v1 else path.with_suffix(".data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[500] ^= 1
    data.write_bytes(content)
    with pytest.raises(WrongWeightsError, match="checksum"):
        tensorflow.read(path)


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html><html>", b"version https://git-lfs.github.com/spec/v1\n"])
def test_a_file_of_no_known_format_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "udnie.ckpt").write_bytes(content)
    with pytest.raises(WrongWeightsError, match=r"udnie\.ckpt is of no known format"):
        import_network(tmp_path / "udnie.ckpt")


def test_absent_files_are_missing(tmp_path: Path) -> None:
    for function in (import_network, load_network, tensorflow.read, onnx_file.read, ncnn.read):
        with pytest.raises(MissingWeightsError, match=r"absent\.x does not exist"):
            function(tmp_path / "absent.x")
    index = write_v2(tmp_path / "x", {"Variable": torch.ones(1)})
    (tmp_path / "x.data-00000-of-00001").unlink()
    with pytest.raises(MissingWeightsError, match="data-00000-of-00001"):
        import_network(index)
    with pytest.raises(WrongWeightsError, match=r"no manifest\.json"):
        import_network(tmp_path)


# Damage at random: an ImpastoError or success, nothing else.

damages = st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), max_size=4)
fuzz = settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


def damaged(content: bytes, damage: list[tuple[int, int]], cut: int | None = None) -> bytes:
    changed = bytearray(content)
    for place, value in damage:
        if changed:
            # Half of the places near the beginning, where the headers are.
            changed[place % (len(changed) if place % 2 else min(len(changed), 400))] = value
    return bytes(changed if cut is None else changed[: cut % (len(changed) + 1)])


def attempt(read: Callable[[Path], object], path: Path) -> None:
    try:
        read(path)
    except ImpastoError as error:
        assert path.stem in str(error)  # noqa: PT017


@pytest.mark.parametrize("kind", ["safetensors", "torch", "torch-legacy", "ncnn", "ncnn-bare", "onnx", "onnx-floats"])
@fuzz
@given(damage=damages, cut=st.none() | st.integers(0, 2**20))
def test_a_damaged_file_gives_an_error_of_ours(
    kind: str, damage: list[tuple[int, int]], cut: int | None, tmp_path: Path
) -> None:
    path = EXAMPLES[kind](tmp_path, random_network(PyTorchExamplesNet(1)))
    path.write_bytes(damaged(path.read_bytes(), damage, cut))
    attempt(import_network, path)


@fuzz
@given(damage=damages)
def test_a_damaged_param_gives_an_error_of_ours(damage: list[tuple[int, int]], tmp_path: Path) -> None:
    path = write_ncnn(tmp_path / "net.bin", PyTorchExamplesNet(1)).with_suffix(".param")
    path.write_bytes(damaged(path.read_bytes(), damage))
    attempt(import_network, path)


@pytest.mark.parametrize("write", [write_v1, write_v2])
@fuzz
@given(damage=damages, cut=st.none() | st.integers(0, 2**20))
def test_damage_under_a_right_checksum_gives_an_error_of_ours(
    write: Callable[..., Path], damage: list[tuple[int, int]], cut: int | None, tmp_path: Path
) -> None:
    tensors = {f"Variable_{number}": torch.ones(number, 2) for number in range(8)}
    attempt(tensorflow.read, write(tmp_path / "x", tensors, spoil=lambda block: damaged(block, damage, cut)))
    whole = write(tmp_path / "y", tensors)
    whole.write_bytes(damaged(whole.read_bytes(), damage, cut))
    attempt(tensorflow.read, whole)


@fuzz
@given(damage=damages, cut=st.none() | st.integers(0, 2**20))
def test_damage_to_our_own_file_gives_an_error_of_ours(
    damage: list[tuple[int, int]], cut: int | None, tmp_path: Path
) -> None:
    network = import_network(EXAMPLES["torch"](tmp_path, random_network(PyTorchExamplesNet(1))))
    save_network(network, tmp_path / "x.safetensors")
    (tmp_path / "x.safetensors").write_bytes(damaged((tmp_path / "x.safetensors").read_bytes(), damage, cut))
    attempt(load_network, tmp_path / "x.safetensors")


# The checksum, and the real files.


@pytest.mark.parametrize(
    ("data", "value"),
    [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43),
     (bytes(range(32)), 0x46DD794E)],
)  # fmt: skip
def test_the_checksum_is_rfc_3720s(data: bytes, value: int) -> None:
    assert crc32c(data) == value


@settings(max_examples=15)
@given(length=st.integers(1000, 9000), seed=st.integers(0, 99))
def test_the_checksum_of_long_data_is_that_of_its_bits(length: int, seed: int) -> None:
    data = torch.randint(256, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    register = 0xFFFFFFFF
    for byte in data:
        register ^= byte
        for _ in range(8):
            register = register >> 1 ^ (0x82F63B78 if register & 1 else 0)
    assert crc32c(bytes(data)) == register ^ 0xFFFFFFFF


@pytest.mark.parametrize("style", ["udnie", "wave", "scream", "wreck"])
def test_the_published_networks_of_r0_are_imported(style: str, shared: Path, tmp_path: Path) -> None:
    path = shared / f"weights/fast-style/{style}.safetensors"
    network = import_network(path, licence="MIT")
    expected = EngstromNet().eval()
    expected.load_state_dict(load_file(path))
    assert_same(network.module, expected)
    save_network(network, tmp_path / "x.safetensors")
    assert load_network(tmp_path / "x.safetensors").facts == network.facts


def test_the_published_network_of_a_fork_of_pytorch_examples_is_imported(shared: Path) -> None:
    path = shared / "weights/pytorch-examples/candy_nc16.model"
    network = import_network(path)
    assert (network.facts["width"], network.facts["name"]) == (16, "candy_nc16")
    expected = PyTorchExamplesNet(16).eval()
    expected.load_state_dict(torch.load(path, weights_only=True))
    assert_same(network.module, expected)
