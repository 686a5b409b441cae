"""Writes what timm and torchvision make of positions for images of another size, to compare with ours without torch.

python -m venv torch && torch/bin/pip install torch torchvision timm numpy
torch/bin/python tests/tools/make_position_fixtures.py
"""

from pathlib import Path

import numpy as np
import torch
from timm.layers.pos_embed import resample_abs_pos_embed
from timm.layers.pos_embed_rel import resize_rel_pos_bias_table
from torchvision.models.vision_transformer import interpolate_embeddings

FILE = Path(__file__).parents[1] / "fixtures/torch_positions.npz"
SIZES = [(3, 3), (7, 7), (10, 10), (5, 8), (1, 1)]

made = {}
draw = np.random.default_rng(0)
embedding = torch.from_numpy(draw.normal(size=(1, 1 + 6 * 6, 3)).astype(np.float32))
made["embedding"] = embedding.numpy()
for height, width in SIZES:
    made[f"timm_positions_{height}x{width}"] = resample_abs_pos_embed(embedding, [height, width]).numpy()
    if height == width:  # torchvision knows no others
        state = {"encoder.pos_embedding": embedding}
        found = interpolate_embeddings(16 * height, 16, state)["encoder.pos_embedding"]
        made[f"torchvision_positions_{height}x{width}"] = found.numpy()
table = torch.from_numpy(draw.normal(size=(11 * 11, 2)).astype(np.float32))
made["table"] = table.numpy()
for height, width in SIZES:
    rows, columns = 2 * height - 1, 2 * width - 1
    made[f"timm_offsets_{height}x{width}"] = resize_rel_pos_bias_table(
        table, (height, width), (rows * columns, 2), (6, 6)
    ).numpy()
np.savez_compressed(FILE, **made)
