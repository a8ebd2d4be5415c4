"""The card of an exported folder, with the lines of Python that load it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from impasto.classify.export.checking import Check
from impasto.classify.export.layouts import Layout

_TEXT = """---
library_name: {library}
pipeline_tag: image-classification
---

# {architecture} for {count} classes

Classes: {classes}.

Trained by impasto {version} as `{model}`. `model.safetensors` is the whole network, in {keys}. On {pictures} pictures
its probabilities differ from those of the trained classifier by {difference:.1g} at most.

Pictures are upright sRGB, scaled as a whole to {size} x {size} pixels (Lanczos) and normalised by `mean` and `std` of
`config.json`. Logits are divided by `temperature` before the softmax. The lines below leave colour
profiles and transparency aside.

```python
{imports}

folder = Path(".")  # where this file lies
config = json.loads((folder / "config.json").read_text(encoding="utf-8"))


{helpers}network = {code}
network.load_state_dict(load_file(folder / "model.safetensors"))
network.eval()


def probabilities(path):
    \"\"\"Return the probability of each class of a picture.\"\"\"
    facts = config["pretrained_cfg"]
    image = ImageOps.exif_transpose(Image.open(path)).convert("RGB")
    size = facts["input_size"][1]
    between = (size, image.height) if image.width >= image.height else (image.width, size)
    square = image.resize(between, Image.Resampling.LANCZOS).resize((size, size), Image.Resampling.LANCZOS)
    pixels = torch.from_numpy(np.array(square)).permute(2, 0, 1)[None] / 255
    mean, std = (torch.tensor(facts[name]).view(1, 3, 1, 1) for name in ("mean", "std"))
    with torch.no_grad():
        logits = network((pixels - mean) / std)[0]
    return dict(zip(config["label_names"], (logits / config["temperature"]).softmax(0).tolist()))


# print(probabilities("picture.jpg"))
```
{more}"""
_IMPORTS = """import json
from pathlib import Path

import numpy as np
import torch
{library}from PIL import Image, ImageOps
from safetensors.torch import load_file
{nn}"""
_LIBRARIES = {"torchvision": "import torchvision\n", "timm": "import timm\n", "torch": ""}
_KEYS = {
    "torchvision": "the keys of torchvision's network of this name",
    "timm": "the keys of timm's network of this name",
    "torch": "the keys of the sequence of layers below",
}
_TIMM = """
timm reads the folder itself, too: `timm.create_model("local-dir:FOLDER", pretrained=True)`.
"""


def folder_card(layout: Layout, config: Mapping[str, Any], check: Check) -> str:
    """Return ``README.md`` of a folder; its code is complete and is what was checked."""
    nn = "from torch import nn\n" if layout.library == "torch" else ""
    imports = _IMPORTS.format(library=_LIBRARIES[layout.library], nn=nn).rstrip()
    return _TEXT.format(
        library="timm" if layout.library == "timm" else "pytorch",
        architecture=layout.architecture,
        count=config["num_classes"],
        classes=", ".join(config["label_names"]),
        version=config["impasto"]["version"],
        model=config["impasto"]["model"],
        keys=_KEYS[layout.library],
        pictures=check.pictures,
        difference=check.largest_difference,
        size=config["pretrained_cfg"]["input_size"][1],
        imports=imports,
        helpers=f"{layout.helpers}\n\n" if layout.helpers else "",
        code=layout.code,
        more=_TIMM if layout.library == "timm" else "",
    )
