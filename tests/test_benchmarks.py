"""The measures of artefacts find what is planted, and nothing where there is nothing."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
import torch
from benchmarks.artefacts import checkerboard, frame
from benchmarks.loaders import loaders

from classify_fixtures import paint_classes


def test_a_checkerboard_is_a_peak_at_its_stride_and_noise_is_none() -> None:
    torch.manual_seed(0)
    noise = torch.rand(1, 3, 192, 256)
    columns = torch.arange(256)
    for stride in (2, 4):
        planted = noise + 0.2 * (columns % stride == 0)
        assert checkerboard(planted, stride) > 10
        assert checkerboard(planted.transpose(2, 3), stride) > 10
        assert checkerboard(noise, stride) < 2
    assert checkerboard(noise + 0.2 * (columns % 4 < 2), 2) < 2


def test_a_frame_is_more_difference_at_the_rim() -> None:
    torch.manual_seed(0)
    bare = torch.rand(1, 3, 64, 64)
    painted = bare + 0.01 * torch.rand(1, 3, 64, 64)
    assert 0.8 < frame(painted, bare) < 1.2
    painted[:, :, :4] += 0.3
    assert frame(painted, bare) > 5


def test_loaders_are_compared_row_by_row(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    loaders(paint_classes(tmp_path, 10), most=12)
    rows = capsys.readouterr().out.splitlines()[2:]
    assert [row.split("  ")[1] for row in rows] == [
        "ImageFolder, 0 workers",
        "ImageFolder, 2 workers",
        "impasto, none",
        "impasto, r0",
        "impasto, r4",
    ]
    assert all(float(cell) > 0 for row in rows for cell in row[26:].split())
    assert not multiprocessing.active_children()
