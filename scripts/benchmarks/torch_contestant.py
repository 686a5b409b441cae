"""The benchmarked networks in PyTorch, channels last: a process whose interpreter need not know this package.

    PYTHON torch_contestant.py NETWORK HEIGHTxWIDTHxCHANNELS CALLS

NETWORK is one of this file, or another library's, as "torchvision:resnet50" or "timm:vit_tiny_patch16_224". CALLS are
those of `contestant`. See `turns`.
"""

import sys
from typing import Any

import torch
from torch import nn
from torch.nn import functional
from turns import serve  # from beside this file


class LeNet5(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 6, 5, padding=2), nn.Conv2d(6, 16, 5)
        self.dense, self.hidden, self.logits = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)

    def forward(self, x: Any) -> Any:
        x = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        x = functional.max_pool2d(functional.relu(self.conv2(x)), 2).flatten(1)
        return self.logits(functional.relu(self.hidden(functional.relu(self.dense(x)))))


def cnn() -> Any:
    layers, before = [], 1
    for filters in (32, 64):
        layers += [
            nn.Conv2d(before, filters, 3, padding=1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.MaxPool2d(2),
        ]
        before = filters
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(3136, 128), nn.ReLU(), nn.Linear(128, 10))


def conv_norm(before: int, after: int, kernel: int, stride: int = 1) -> Any:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(after)
    )  # fmt: skip


class Block(nn.Module):
    def __init__(self, before: int, width: int, stride: int, bottleneck: bool) -> None:
        super().__init__()
        self.wide = width * (4 if bottleneck else 1)
        sizes: Any
        if bottleneck:
            sizes = ((before, width, 1, 1), (width, width, 3, stride), (width, self.wide, 1, 1))
        else:
            sizes = ((before, width, 3, stride), (width, width, 3, 1))
        layers: list[Any] = []
        for size in sizes:
            layers += [conv_norm(*size), nn.ReLU(inplace=True)]
        self.body = nn.Sequential(*layers[:-1])
        changes = stride != 1 or before != self.wide
        self.shortcut = conv_norm(before, self.wide, 1, stride) if changes else nn.Identity()

    def forward(self, x: Any) -> Any:
        return functional.relu(self.body(x) + self.shortcut(x), inplace=True)


def resnet(depths: tuple[int, ...], bottleneck: bool, small_images: bool) -> Any:
    kernel, stride = (3, 1) if small_images else (7, 2)
    layers: list[Any] = [conv_norm(3, 64, kernel, stride), nn.ReLU(inplace=True)]
    if not small_images:
        layers.append(nn.MaxPool2d(3, 2, 1))
    before = 64
    for i, depth in enumerate(depths):
        for j in range(depth):
            layers.append(Block(before, 64 * 2**i, 2 if i and not j else 1, bottleneck))
            before = layers[-1].wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10))


NETWORKS: dict[str, Any] = {
    "lenet5": LeNet5,
    "cnn": cnn,
    "resnet18": lambda: resnet((2, 2, 2, 2), False, True),
    "resnet50": lambda: resnet((3, 4, 6, 3), True, False),
}


def make(name: str) -> Any:
    library, _, network = name.rpartition(":")
    if library == "torchvision":
        import torchvision

        return torchvision.models.get_model(network, num_classes=10)
    if library == "timm":
        import timm

        return timm.create_model(network, num_classes=10)
    return NETWORKS[name]()


def make_calls(model: Any, shape: tuple[int, ...], calls: list[tuple[str, int]], device: Any) -> dict[str, Any]:
    """The calls by name; images come from the host as uint8 [batch, height, width, channels], as decoders give them."""
    ready: dict[str, Any] = {}
    for what, batch in calls:
        images = torch.randint(0, 256, (batch, *shape), dtype=torch.uint8)
        labels = torch.arange(batch, device=device) % 10
        if what == "train":
            ready[f"train:{batch}"] = training(model, prepare(images, device), labels)
        else:
            ready[f"{what}:{batch}"] = inference(model, what, images, labels)
    return ready


def prepare(images: Any, device: Any) -> Any:
    return images.to(device).permute(0, 3, 1, 2).float() / 127.5 - 1  # which is channels last


def training(model: Any, images: Any, labels: Any) -> Any:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def step() -> None:
        model.train()
        optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
        if labels.device.type == "cuda":
            torch.cuda.synchronize()

    return step


def inference(model: Any, what: str, images: Any, labels: Any) -> Any:
    @torch.inference_mode()
    def call() -> Any:
        model.eval()
        logits = model(prepare(images, labels.device))
        if what == "predict":
            return logits.cpu().numpy()
        loss = functional.cross_entropy(logits, labels, reduction="sum")
        return loss.item(), (logits.argmax(1) == labels).sum().item()

    return call


def main(name: str, size: str, listed: str) -> None:
    torch.manual_seed(0)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = make(name).to(device, memory_format=torch.channels_last)
    calls = [(what, int(batch)) for what, batch in (each.split(":") for each in listed.split(","))]
    about = {"parameters": sum(p.numel() for p in model.parameters()), "version": torch.__version__}
    serve(make_calls(model, tuple(map(int, size.split("x"))), calls, device), about, lambda: None)


if __name__ == "__main__":
    main(*sys.argv[1:])
