"""Records the logits of a network of torchvision, timm or EfficientNet-PyTorch, to compare with ours without torch.

    python -m venv torch && torch/bin/pip install torch torchvision timm efficientnet-lite-pytorch numpy pillow
    torch/bin/python tests/tools/record_torch_logits.py --library=timm --network=tf_efficientnet_b0
    torch/bin/python tests/tools/record_torch_logits.py --library=torchvision --network=mobilenet_v2 \
        --weights=mobilenet_v2-b0353104.pth --photographs=site-packages/foolbox/data --as=mobilenet_v2

The first form makes weights up (`tests/support/made_up_weights.py`), and stores in tests/fixtures/torch_logits the
names and shapes of the state dict, the logits of two made-up images, and how many multiply-adds torch counts for an
image of the size --counted-size. The second takes published weights, and stores the ten largest logits of each
photograph and projections of all.
"""

import argparse
import sys
import zlib
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
from tests.support.made_up_weights import made_up_images, made_up_state_dict  # noqa: E402
from tests.support.photographs import VIEWS, photographs, projections  # noqa: E402

FOLDER = ROOT / "tests/fixtures/torch_logits"
CLASSES = 16  # of the networks with made-up weights


def make(library, network, size, **arguments):
    if library == "torchvision":
        import torchvision

        model = torchvision.models.get_model(network, **arguments)
    elif library == "timm":
        import timm

        model = timm.create_model(network, pretrained=False, **arguments)
    else:
        from efficientnet_lite_pytorch import EfficientNet

        model = EfficientNet.from_name(network, image_size=size, **arguments)
    return model.eval()


def run(model, images):
    with torch.no_grad():
        return model(torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))).numpy()


def record_made_up(library, network, size, counted_size):
    model = make(library, network, size, num_classes=CLASSES)
    own = model.state_dict()
    shapes = {key: tuple(value.shape) for key, value in own.items() if value.is_floating_point() or value.ndim == 0}
    made = {key: torch.from_numpy(value) for key, value in made_up_state_dict(shapes).items()}
    model.load_state_dict({**own, **made})
    with FlopCounterMode(display=False) as counter:
        run(make(library, network, counted_size), made_up_images(1, counted_size))
    multiply_adds = counter.get_total_flops() // 2
    logits = run(model, made_up_images(2, size))
    print(f"{library} {network}: logits up to {abs(logits).max():.3g}, {multiply_adds:,} multiply-adds")
    np.savez_compressed(
        FOLDER / f"{library}_{network}.npz",
        keys=np.array(list(own)),
        shapes=np.array(["x".join(map(str, value.shape)) for value in own.values()]),
        size=size,
        logits=logits,
        counted_size=counted_size,
        multiply_adds=multiply_adds,
    )


def record_published(library, network, name, weights, folder):
    see, scale = VIEWS[name]
    files = photographs(folder)
    pixels = np.stack([see(file) for file, _ in files])
    model = make(library, network, pixels.shape[1])
    model.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    logits = run(model, scale(pixels))
    top = np.argsort(-logits, axis=1)[:, :10]
    labels = np.array([label for _, label in files])
    print(f"{name}: {(top[:, 0] == labels).sum()} of {len(files)} photographs right, {abs(logits).max():.3g} at most")
    np.savez_compressed(
        FOLDER / f"photographs_{name}.npz",
        pixels=np.array([zlib.crc32(one.tobytes()) for one in pixels], np.uint32),
        labels=labels,
        top=top.astype(np.int16),
        top_logits=np.take_along_axis(logits, top, axis=1),
        projections=projections(logits).astype(np.float32),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--library", choices=["torchvision", "timm", "lukemelas"], required=True)
    parser.add_argument("--network", required=True, help="as the library calls it")
    parser.add_argument("--size", type=int, default=64, help="of the made-up images")
    parser.add_argument("--counted-size", type=int, default=224)
    parser.add_argument("--weights", type=Path, help="a published file")
    parser.add_argument("--photographs", type=Path, help="foolbox/data")
    parser.add_argument("--as", dest="name", help="what the network is called here")
    flags = parser.parse_args()
    if flags.weights:
        record_published(flags.library, flags.network, flags.name, flags.weights, flags.photographs)
    else:
        record_made_up(flags.library, flags.network, flags.size, flags.counted_size)
