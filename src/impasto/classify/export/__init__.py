"""Classifiers for programs that know nothing of impasto: ONNX, and safetensors as torchvision and timm read them."""

from impasto.classify.export.checking import TOLERANCE, Check
from impasto.classify.export.folder import FolderExport, export_folder
from impasto.classify.export.onnx_file import Labelled, OnnxExport, Rounded, export_onnx

__all__ = [
    "TOLERANCE",
    "Check",
    "FolderExport",
    "Labelled",
    "OnnxExport",
    "Rounded",
    "export_folder",
    "export_onnx",
]
