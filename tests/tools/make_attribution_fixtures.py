"""Records what Captum and pytorch-grad-cam say of two small networks, to compare with ours without them.

    python -m venv torch && torch/bin/pip install torch captum grad-cam
    torch/bin/python tests/tools/make_attribution_fixtures.py tests/fixtures/attribution.npz

The networks are those of `tests/support/attributed.py`, a small `cnn` and a small `resnet20`, written in PyTorch.
Weights are made up, float32. Maps are stored as [B, H, W, C] or [B, H, W]; those of CAMs as the libraries compute them
before they cut, rescale and enlarge them.
"""

import sys

import numpy as np
import torch
import torch.nn.functional as F
from captum.attr import GuidedBackprop, InputXGradient, IntegratedGradients, Occlusion, Saliency
from pytorch_grad_cam import GradCAM, GradCAMPlusPlus, HiResCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

RANDOM = np.random.RandomState(0)
CAMS = {"grad_cam": GradCAM, "grad_cam_plus_plus": GradCAMPlusPlus, "hires_cam": HiResCAM}
TARGETS = [1, 3, 0]
SAMPLES = 8


class Plain(nn.Module):
    """Pixels 0..1; convolution, ReLU and maximum twice, flattened as [H, W, C], a hidden layer."""

    def __init__(self, channels):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 6, 3, padding=1), nn.Conv2d(6, 8, 3, padding=1)
        self.relu1, self.relu2, self.relu3 = nn.ReLU(), nn.ReLU(), nn.ReLU()
        self.pool1, self.pool2 = nn.MaxPool2d(2), nn.MaxPool2d(2)
        self.hidden, self.logits = nn.Linear(8 * 2 * 3, 10), nn.Linear(10, 4)

    def forward(self, x):
        x = self.pool1(self.relu1(self.conv1(x)))
        x = self.pool2(self.relu2(self.conv2(x)))
        return self.logits(self.relu3(self.hidden(x.permute(0, 2, 3, 1).flatten(1))))


class Residual(nn.Module):
    """Convolution, BatchNorm, ReLU; two blocks, of which the second has stride 2 and more channels; mean; dense."""

    def __init__(self, channels):
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(channels, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.relu = nn.ReLU()
        self.block1, self.block2 = Block(6, 6, 1), Block(6, 8, 2)
        self.logits = nn.Linear(8, 4)

    def forward(self, x):
        x = self.block2(self.block1(self.relu(self.stem_norm(self.stem(x)))))
        return self.logits(x.mean((2, 3)))


class Block(nn.Module):
    def __init__(self, given, features, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(given, features, 3, stride, 1, bias=False)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1, bias=False)
        self.norm1, self.norm2 = nn.BatchNorm2d(features), nn.BatchNorm2d(features)
        self.stride, self.missing = stride, (features - given) // 2
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()

    def forward(self, x):
        y = self.norm2(self.conv2(self.relu1(self.norm1(self.conv1(x)))))
        shortcut = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.missing, self.missing))
        return self.relu2(y + shortcut)


def make_up(model):
    for name, value in model.state_dict().items():
        if value.ndim:
            low = {"running_var": 0.5}.get(name.split(".")[-1], -0.5)
            scale = 2.0 / np.sqrt(max(1, value[0].numel())) if value.ndim > 1 else 1.0
            drawn = scale * RANDOM.uniform(low, low + 1, value.shape) + (value.ndim == 1 and "norm" in name and
                                                                         name.endswith("weight"))  # fmt: skip
            value.copy_(torch.tensor(drawn, dtype=torch.float32))
    return model.eval()


def of_images(x):
    return x.detach().numpy().transpose(0, 2, 3, 1)


def record(model, layers, size, keep):
    keep(**{f"weights/{name}": value.numpy() for name, value in model.state_dict().items() if value.ndim})
    pixels = RANDOM.uniform(0, 1, (len(TARGETS), *size, next(model.parameters()).shape[1])).astype(np.float32)
    noise = RANDOM.standard_normal((SAMPLES, *pixels.shape[1:])).astype(np.float32)
    x, draws = (torch.tensor(each.transpose(0, 3, 1, 2)) for each in (pixels, noise))
    targets = torch.tensor(TARGETS)
    keep(images=pixels, noise=noise, logits=model(x).detach().numpy())
    keep(saliency=of_images(Saliency(model).attribute(x, targets, abs=False)))
    keep(input_x_gradient=of_images(InputXGradient(model).attribute(x.clone().requires_grad_(), targets)))
    keep(guided_backpropagation=of_images(GuidedBackprop(model).attribute(x.clone().requires_grad_(), targets)))
    integrated = IntegratedGradients(model).attribute(x, 0.25, targets, n_steps=24, method="gausslegendre")
    keep(integrated_gradients=of_images(integrated))
    spread = 0.2 * (x.amax((1, 2, 3), keepdim=True) - x.amin((1, 2, 3), keepdim=True))
    noisy = [Saliency(model).attribute(x + spread * draw, targets, abs=False) for draw in draws]
    keep(smoothgrad=of_images(torch.stack(noisy).mean(0)))
    window = (x.shape[1], 3, 3)
    covered = Occlusion(model).attribute(x, window, (x.shape[1], 2, 2), baselines=0.25, target=targets)
    keep(occlusion=of_images(covered)[..., 0])
    for layer, of_model in layers.items():
        for name, kind in CAMS.items():
            with kind(model=model, target_layers=[of_model(model)]) as cam:
                cam.outputs = cam.activations_and_grads(x)
                loss = sum(ClassifierOutputTarget(t)(out) for t, out in zip(TARGETS, cam.outputs, strict=True))
                loss.backward()
                maps, gradients = (
                    each[0].detach().numpy()
                    for each in (cam.activations_and_grads.activations, cam.activations_and_grads.gradients)
                )
                keep(**{f"{name}/{layer}": cam.get_cam_image(x, of_model(model), None, maps, gradients, False)})


def main(path):
    found = {}
    for name, model, layers, size in (
        ("plain", Plain(1), {"block1": lambda m: m.pool1, "block2": lambda m: m.pool2}, (8, 12)),
        ("residual", Residual(3), {"block1": lambda m: m.block1, "block2": lambda m: m.block2}, (9, 7)),
    ):
        with torch.no_grad():
            make_up(model)
        record(model, layers, size, lambda name=name, **arrays: found.update(
            {f"{name}/{key}": value.astype(np.float32) for key, value in arrays.items()}))  # fmt: skip
    np.savez_compressed(path, targets=np.array(TARGETS), **found)
    print(f"{len(found)} arrays")


if __name__ == "__main__":
    main(sys.argv[1])
