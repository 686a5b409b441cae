"""PyTorch's example for MNIST, on arrays: a process whose interpreter need not know this package.

    PYTHON torch_mnist.py ARRAYS.npz EPOCHS SEED STARTED

Its network, its settings and its order of work (pytorch/examples, mnist/main.py); the images come from arrays (uint8
`train_images`, `test_images` [N, H, W, C], and labels) instead of files that are decoded anew in each epoch, which
is quicker. After each epoch a line of JSON: the seconds since STARTED (of `time.time()`), and the test accuracy.
"""

import json
import sys
import time
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

BATCH, TEST_BATCH, RATE, GAMMA = 64, 1000, 1.0, 0.7
MEAN, STD = 0.1307, 0.3081


class Net(nn.Module):
    def __init__(self, height: int, width: int, channels: int) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(channels, 32, 3), nn.Conv2d(32, 64, 3)
        self.dropout1, self.dropout2 = nn.Dropout(0.25), nn.Dropout(0.5)
        self.fc1 = nn.Linear(64 * ((height - 4) // 2) * ((width - 4) // 2), 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x: Any) -> Any:
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        x = self.dropout1(functional.max_pool2d(x, 2)).flatten(1)
        x = self.dropout2(functional.relu(self.fc1(x)))
        return functional.log_softmax(self.fc2(x), dim=1)


def train(model: Any, optimizer: Any, images: Any, labels: Any) -> None:
    model.train()
    for rows in torch.randperm(len(images)).split(BATCH):
        optimizer.zero_grad()
        functional.nll_loss(model(images[rows]), labels[rows]).backward()
        optimizer.step()


@torch.no_grad()
def accuracy(model: Any, images: Any, labels: Any) -> float:
    model.eval()
    batches = zip(images.split(TEST_BATCH), labels.split(TEST_BATCH), strict=True)
    return sum((model(x).argmax(1) == y).sum().item() for x, y in batches) / len(labels)


def main(path: str, epochs: int, seed: int, started: float) -> None:
    torch.manual_seed(seed)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: torch.from_numpy(stored[name]) for name in stored.files}
    for split in ("train", "test"):
        images = arrays[f"{split}_images"].permute(0, 3, 1, 2).float() / 255
        arrays[f"{split}_images"] = ((images - MEAN) / STD).contiguous().to(device)
        arrays[f"{split}_labels"] = arrays[f"{split}_labels"].long().to(device)
    channels, height, width = arrays["train_images"].shape[1:]
    model = Net(height, width, channels).to(device)
    optimizer = torch.optim.Adadelta(model.parameters(), lr=RATE)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=GAMMA)
    for epoch in range(1, epochs + 1):
        train(model, optimizer, arrays["train_images"], arrays["train_labels"])
        reached = accuracy(model, arrays["test_images"], arrays["test_labels"])
        scheduler.step()
        print(json.dumps({"epoch": epoch, "seconds": time.time() - started, "accuracy": reached}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]))
