"""Records what PyTorch computes, so that the test-suite can compare without it.

  python -m venv torch && torch/bin/pip install torch numpy
  torch/bin/python tests/tools/make_torch_fixtures.py tests/fixtures/torch.npz

Everything is float64 or float32 on CPU from a fixed seed; arrays are stored in PyTorch's layout, inputs included.
"""

import sys

import numpy as np
import torch
import torch.nn.functional as F

RANDOM = np.random.RandomState(0)

PADDING_MODES = {"zero": "zeros", "extend": "replicate", "reflect": "reflect", "wrap": "circular"}
CONVOLUTIONS = {
    "k3": (3, 1, "zero"), "k3_stride2": (3, 2, "zero"), "k5": (5, 1, "zero"), "k1_stride2": (1, 2, "zero"),
    "k3_crop": (3, 1, "crop"), "k5_crop_stride2": (5, 2, "crop"), "k3_extend": (3, 1, "extend"),
    "k5_reflect": (5, 1, "reflect"), "k3_wrap": (3, 1, "wrap"), "k3_wrap_stride2": (3, 2, "wrap"),
}  # fmt: skip
POOLS = {"max_2_2_0": F.max_pool2d, "max_3_2_1": F.max_pool2d, "max_3_1_0": F.max_pool2d,
         "mean_2_2_0": F.avg_pool2d, "mean_3_2_0": F.avg_pool2d}  # fmt: skip
OPTIMIZERS = {
    "sgd": (torch.optim.SGD, {"lr": 0.1}),
    "sgd_decay": (torch.optim.SGD, {"lr": 0.1, "weight_decay": 0.05}),
    "sgd_momentum_decay": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.05}),
    "sgd_nesterov_decay": (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
    "adam": (torch.optim.Adam, {"lr": 0.01}),
    "adam_decay": (torch.optim.Adam, {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-6, "weight_decay": 0.05}),
    "adamw": (torch.optim.AdamW, {"lr": 0.01, "weight_decay": 0.1}),
    "rmsprop": (torch.optim.RMSprop, {"lr": 0.01}),
    "rmsprop_momentum": (torch.optim.RMSprop, {"lr": 0.01, "momentum": 0.9, "weight_decay": 0.05}),
    "adagrad": (torch.optim.Adagrad, {"lr": 0.05}),
    "adadelta": (torch.optim.Adadelta, {"lr": 1.0}),
}


def draw(*shape, grad=False):
    return torch.tensor(RANDOM.standard_normal(shape), dtype=torch.float32, requires_grad=grad)


def record_convolutions(keep):
    for name, (size, stride, edges) in CONVOLUTIONS.items():
        x, w, b = draw(4, 3, 9, 8, grad=True), draw(5, 3, size, size, grad=True), draw(5, grad=True)
        padded = x
        if edges != "crop":
            mode = {"zeros": "constant"}.get(PADDING_MODES[edges], PADDING_MODES[edges])
            padded = F.pad(x, (size // 2,) * 4, mode=mode)
        y = F.conv2d(padded, w, b, stride)
        c = draw(*y.shape)
        (y * c).sum().backward()
        keep(f"conv/{name}", x=x, w=w, b=b, y=y, c=c, dx=x.grad, dw=w.grad, db=b.grad)


def record_batch_norm(keep):
    norm = torch.nn.BatchNorm2d(5)
    with torch.no_grad():
        norm.weight.copy_(draw(5))
        norm.bias.copy_(draw(5))
    keep("batchnorm", scale=norm.weight, bias=norm.bias)
    for step in range(4):
        x = (draw(6, 5, 3, 4) * 2 + 0.7 * step).requires_grad_()
        y = norm(x)
        c = draw(*y.shape)
        norm.zero_grad()
        (y * c).sum().backward()
        keep(f"batchnorm/{step}", x=x, y=y, c=c, dx=x.grad, dscale=norm.weight.grad, dbias=norm.bias.grad,
             mean=norm.running_mean.clone(), var=norm.running_var.clone())  # fmt: skip
    norm.eval()
    keep("batchnorm/eval", x=x, y=norm(x))


def record_pools(keep):
    for name, pool in POOLS.items():
        window, stride, padding = map(int, name.split("_")[1:])
        x = draw(2, 3, 9, 8, grad=True)
        y = pool(x, window, stride, padding)
        c = draw(*y.shape)
        (y * c).sum().backward()
        keep(f"pool/{name}", x=x, y=y, c=c, dx=x.grad)


def record_losses(keep):
    labels = torch.tensor(RANDOM.randint(0, 7, 12))
    soft = torch.softmax(draw(12, 7) * 2, 1)
    for name, target, smoothing in (("hard", labels, 0.0), ("hard_smooth", labels, 0.1), ("soft", soft, 0.0),
                                    ("soft_smooth", soft, 0.2)):  # fmt: skip
        logits = (draw(12, 7) * 3).requires_grad_()
        losses = F.cross_entropy(logits, target, label_smoothing=smoothing, reduction="none")
        losses.mean().backward()
        keep(f"loss/{name}", logits=logits, target=target, losses=losses, dlogits=logits.grad)


def record_optimizers(keep):
    start, gradients = draw(6, 4), draw(12, 6, 4)
    keep("optimizer", start=start, gradients=gradients)
    for name, (kind, arguments) in OPTIMIZERS.items():
        w = start.clone().requires_grad_()
        optimizer, path = kind([w], **arguments), []
        for gradient in gradients:
            w.grad = gradient.clone()
            optimizer.step()
            path.append(w.detach().clone())
        keep(f"optimizer/{name}", path=torch.stack(path))

    # Three parameters from the same start: one with a tenth of the rate, one with three times the rate, one frozen.
    for name in ("sgd_momentum_decay", "adamw"):
        kind, arguments = OPTIMIZERS[name]
        backbone, head = start.clone().requires_grad_(), start.clone().requires_grad_()
        stem, rate, path = start.clone(), arguments["lr"], []
        groups = [{"params": [backbone], "lr": 0.1 * rate}, {"params": [head], "lr": 3 * rate}, {"params": [stem]}]
        optimizer = kind(groups, **arguments)
        for gradient in gradients:
            backbone.grad, head.grad = gradient.clone(), gradient.clone()
            optimizer.step()
            path.append(torch.stack([backbone.detach(), head.detach(), stem]))
        keep(f"groups/{name}", path=torch.stack(path))

    # Where gradients are small, the place of eps decides.
    small = torch.tensor([1e-3, 1e-5, 1e-6, 1e-8])
    for name in ("adam", "rmsprop", "adagrad", "adadelta"):
        kind, arguments = OPTIMIZERS[name]
        w, path = torch.zeros(4, requires_grad=True), []
        optimizer = kind([w], **arguments)
        for _ in range(5):
            w.grad = small.clone()
            optimizer.step()
            path.append(w.detach().clone())
        keep(f"small/{name}", gradient=small, path=torch.stack(path))


def record_layers_of_old_networks(keep):
    x = (draw(2, 7, 3, 4) * 30).requires_grad_()
    y = F.local_response_norm(x, 5, alpha=5 * 1e-4, beta=0.75, k=2.0)  # which divides alpha by 5
    c = draw(*y.shape)
    (y * c).sum().backward()
    keep("response_norm", x=x, y=y, c=c, dx=x.grad)
    for size in (3, 7):
        x = draw(2, 3, 8, 5, grad=True)
        y = F.adaptive_avg_pool2d(x, size)
        c = draw(*y.shape)
        (y * c).sum().backward()
        keep(f"adaptive/{size}", x=x, y=y, c=c, dx=x.grad)


def make() -> dict[str, np.ndarray]:
    """All results by name. They draw from one stream of random numbers: the order is part of what is recorded."""
    out: dict[str, np.ndarray] = {}

    def keep(prefix, **tensors):
        out.update({f"{prefix}/{name}": tensor.detach().numpy() for name, tensor in tensors.items()})

    for record in (record_convolutions, record_batch_norm, record_pools, record_losses, record_optimizers,
                   record_layers_of_old_networks):  # fmt: skip
        record(keep)
    return out


if __name__ == "__main__":
    np.savez_compressed(sys.argv[1], **make())
