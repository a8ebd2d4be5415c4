"""Classifiers for programs that know nothing of impasto: ONNX, and safetensors as torchvision and timm read them."""

from impasto.classify.export.checking import Check
from impasto.classify.export.onnx_file import TOLERANCE, Labelled, OnnxExport, Rounded, export_onnx

__all__ = ["TOLERANCE", "Check", "Labelled", "OnnxExport", "Rounded", "export_onnx"]
