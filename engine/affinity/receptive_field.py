"""Which pixels a position of a filter map sees: those with a gradient (Das et al. 2019, section 3.1)."""

from __future__ import annotations

from copy import deepcopy

import numpy as np

from ..vision.networks import Network, outputs


def receptive_fields(network: Network, layer: str) -> np.ndarray:
    """int (H, W, 4): top, left, bottom, right (exclusive) in pixels of the network's input, for every position of the layer.

    Gradients are taken in a copy of the network whose weights are all positive and whose max-pools are mean-pools: there a
    pixel has a gradient wherever it can have one for any image, so the field is that of the architecture.
    """
    import torch

    linear = averaging(network.module).cpu()
    image = torch.ones(1, 3, network.size, network.size, requires_grad=True)
    (found,) = outputs(linear, image, (layer,))
    _, _, height, width = found.shape
    spans = []
    for n, axis in ((height, 2), (width, 3)):
        lines = [found.select(axis, i).sum() for i in range(n)]
        gradients = [torch.autograd.grad(line, image, retain_graph=True)[0].abs().sum(dim=(0, 1, 5 - axis)) for line in lines]
        seen = [np.flatnonzero(g.numpy() > 0) for g in gradients]
        spans.append(np.array([(s[0], s[-1] + 1) for s in seen]))
    rows, columns = spans
    fields = np.empty((height, width, 4), int)
    fields[:, :, 0], fields[:, :, 2] = rows[:, None, 0], rows[:, None, 1]
    fields[:, :, 1], fields[:, :, 3] = columns[None, :, 0], columns[None, :, 1]
    return fields


def averaging(module):
    """A copy in which every filter is a mean and every max-pool a mean-pool."""
    import torch
    from torch import nn

    copied = deepcopy(module).eval()
    for name, each in list(copied.named_modules()):
        if isinstance(each, nn.MaxPool2d):
            pool = nn.AvgPool2d(each.kernel_size, each.stride, each.padding, each.ceil_mode)
            setattr(copied.get_submodule(name.rpartition(".")[0]), name.rpartition(".")[2], pool)
        elif isinstance(each, nn.Conv2d):
            with torch.no_grad():
                each.weight.fill_(1 / each.weight[0].numel())
                if each.bias is not None:
                    each.bias.zero_()
        elif isinstance(each, nn.modules.batchnorm._BatchNorm):
            each.reset_running_stats()
            each.reset_parameters()
    return copied.requires_grad_(False)


def in_original(field: np.ndarray, size: int, width: int, height: int) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) in pixels of an image that was squeezed into size x size."""
    top, left, bottom, right = (int(v) for v in field)
    return left * width // size, top * height // size, -(-right * width // size), -(-bottom * height // size)
