"""Records blur pooling as PyTorch computes it: mirrored padding, a depthwise convolution of the binomial filter.

torch/bin/python tests/tools/make_blur_fixtures.py tests/fixtures/torch_blur.npz
"""

import sys

import numpy as np
import torch
import torch.nn.functional as F

# The filters of Zhang 2019 as the paper lists them.
FILTERS = {
    2: [1, 1], 3: [1, 2, 1], 4: [1, 3, 3, 1], 5: [1, 4, 6, 4, 1], 6: [1, 5, 10, 10, 5, 1], 7: [1, 6, 15, 20, 15, 6, 1],
}  # fmt: skip


def blur(x: torch.Tensor, size: int, stride: int) -> torch.Tensor:
    row = torch.tensor(FILTERS[size], dtype=x.dtype)
    kernel = torch.outer(row, row) / row.sum() ** 2
    before, behind = (size - 1) // 2, size // 2
    mirrored = F.pad(x, (before, behind, before, behind), mode="reflect")
    return F.conv2d(mirrored, kernel.expand(x.shape[1], 1, size, size), stride=stride, groups=x.shape[1])


def main() -> None:
    torch.manual_seed(0)
    arrays = {}
    for size in FILTERS:
        for kind, stride in (("blur", 2), ("blur_max", 2), ("blur_max", 3)):
            x = torch.randn(2, 3, 9, 8, requires_grad=True)
            y = blur(x if kind == "blur" else F.max_pool2d(x, 2, 1), size, stride)
            c = torch.randn_like(y)
            (y * c).sum().backward()
            for name, value in {"x": x, "y": y, "c": c, "dx": x.grad}.items():
                arrays[f"{kind}_{size}_{stride}/{name}"] = value.detach().numpy()
    np.savez_compressed(sys.argv[1], **arrays)


if __name__ == "__main__":
    main()
