"""A classifier as one ONNX model: uint8 pixels of any size in, probabilities and class names out."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import onnx
import torch
from numpy import float32, int64
from onnx import TensorProto, helper
from torch import nn

from impasto._version import __version__
from impasto.classify.classifier import Classifier
from impasto.classify.export.preprocess import Nodes, add_preprocessing
from impasto.runs import digest

IMAGE, PROBABILITIES, CLASSES = "image", "probabilities", "classes"
_LOGITS = "logits"


def onnx_model(classifier: Classifier) -> onnx.ModelProto:
    """Return the model of ``classifier``: preprocessing, network, temperature and softmax in one graph.

    Shape:
        input ``image`` H x W x 3 uint8, upright sRGB; outputs ``probabilities`` C float32, ``classes`` C strings.
    """
    network = _exported(_module_of(classifier), classifier)
    before, after = Nodes(), Nodes("answer/")
    pixels = add_preprocessing(before, IMAGE, classifier.preprocessing.size)
    _rename(network.graph, {network.graph.input[0].name: pixels})
    _add_answer(after, network.graph.output[0].name, classifier)
    graph = helper.make_graph(
        [*before.nodes, *network.graph.node, *after.nodes],
        "impasto",
        [helper.make_tensor_value_info(IMAGE, TensorProto.UINT8, ["height", "width", 3])],
        _outputs(len(classifier.classes)),
        [*before.constants, *network.graph.initializer, *after.constants],
    )
    model = helper.make_model(
        graph,
        opset_imports=network.opset_import,
        ir_version=network.ir_version,
        functions=network.functions,
        producer_name="impasto",
        producer_version=__version__,
    )
    set_metadata(model, _metadata(classifier))
    onnx.checker.check_model(model)
    return model


def set_metadata(model: onnx.ModelProto, entries: Mapping[str, Any]) -> None:
    """Write ``entries`` into the model's own metadata: text as it is, everything else as JSON."""
    known = {item.key: item.value for item in model.metadata_props}
    texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in entries.items()}
    helper.set_model_props(model, known | texts)


def _metadata(classifier: Classifier) -> dict[str, Any]:
    return {
        "impasto": __version__,
        "model": classifier.config["model"],
        "config_sha256": digest(classifier.config),
        "classes": list(classifier.classes),
        "preprocessing": classifier.preprocessing.record(),
        "temperature": classifier.temperature,
    }


def _module_of(classifier: Classifier) -> nn.Module:
    module = classifier.module()
    for part in module.modules():  # all of it is as in prediction, whatever the flag of a container says
        part.training = False
    return module


def _exported(module: nn.Module, classifier: Classifier) -> onnx.ModelProto:
    """Return what torch makes of the network, for one picture, without the traces of the machine it was made on."""
    size = classifier.preprocessing.size
    example = torch.zeros(1, 3, size, size, device=classifier.device)
    program = torch.onnx.export(module, (example,), dynamo=True, verbose=False, output_names=[_LOGITS])
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    for node in _all_nodes(model):
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    return model


def _all_nodes(model: onnx.ModelProto) -> Iterable[onnx.NodeProto]:
    yield from model.graph.node
    for function in model.functions:
        yield from function.node


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]


def _add_answer(nodes: Nodes, logits: str, classifier: Classifier) -> None:
    """Append the softmax of the logits over the temperature, and the names of the classes."""
    cooled = nodes("Div", logits, nodes.constant(classifier.temperature, float32))
    shares = nodes("Softmax", cooled, axis=1)
    nodes("Squeeze", shares, nodes.constant([0], int64), name=PROBABILITIES)
    nodes("Constant", name=CLASSES, value_strings=list(classifier.classes))


def _outputs(classes: int) -> list[onnx.ValueInfoProto]:
    return [
        helper.make_tensor_value_info(PROBABILITIES, TensorProto.FLOAT, [classes]),
        helper.make_tensor_value_info(CLASSES, TensorProto.STRING, [classes]),
    ]
