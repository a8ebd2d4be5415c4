"""The measures of artefacts find what is planted, and nothing where there is nothing."""

from __future__ import annotations

import torch
from benchmarks.artefacts import checkerboard, frame


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
