"""Networks to look into, behind one face: trained classifiers, those of torchvision and timm, and encoders.

>>> from impasto.subjects import load_subject
>>> subject = load_subject("torchvision:resnet18", weights="random")
>>> seen = subject.watch(torch.rand(2, 3, 224, 224), ["layer3"])
>>> seen.output.shape, seen.maps["layer3"].shape
(torch.Size([2, 1000]), torch.Size([2, 256, 14, 14]))
"""

from impasto.subjects.load import ensemble_error, load_subject
from impasto.subjects.maps import Layout, is_spatial, spatial
from impasto.subjects.subject import Seen, Subject

__all__ = ["Layout", "Seen", "Subject", "ensemble_error", "is_spatial", "load_subject", "spatial"]
