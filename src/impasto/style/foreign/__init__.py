"""Readers of other programs' files of weights, without those programs.

Each of ``tensorflow``, ``deeplearnjs``, ``ncnn``, ``onnx_file`` and ``pytorch`` has one function ``read(path)`` that
returns the tensors as the file holds them; ``impasto.style.checkpoints`` puts them into networks. Nothing in a file is
executed, a size that a file claims is held against the file's own size before memory is asked for, and a damaged file
is a ``WrongWeightsError`` that names it.
"""

from impasto.style.foreign import deeplearnjs, ncnn, onnx_file, pytorch, tensorflow
from impasto.style.foreign.recognise import recognise

__all__ = ["deeplearnjs", "ncnn", "onnx_file", "pytorch", "recognise", "tensorflow"]
