"""Records what PyTorch makes of optimizers whose momentum or rate a scheduler changes as they go.

  torch/bin/python tests/tools/make_torch_cycling.py tests/fixtures/torch_cycling.npz

Everything is on CPU, from a fixed seed; `make_torch_fixtures.py` says how to come by torch/bin/python.
"""

import sys

import numpy as np
import torch

STEPS, PLATEAU_EPOCHS = 60, 60
CYCLES = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9}, 0.05),
    "sgd_nesterov_decay": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05}, 0.05),
    "adam": (torch.optim.Adam, {}, 0.02),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.1}, 0.02),
    "rmsprop": (torch.optim.RMSprop, {"momentum": 0.9}, 0.005),
}
SCHEDULERS = {
    "one_cycle": lambda optimizer, rate: torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=STEPS),
    "one_cycle_three_phase": lambda optimizer, rate: torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=STEPS, three_phase=True, pct_start=0.4, base_momentum=0.5, max_momentum=0.8
    ),
    "cyclic": lambda optimizer, rate: torch.optim.lr_scheduler.CyclicLR(
        optimizer, rate / 10, rate, step_size_up=8, step_size_down=12, base_momentum=0.6
    ),
}
PLATEAUS = {
    "falling": {"mode": "min", "patience": 2},
    "accuracy": {"mode": "max", "patience": 1, "factor": 0.5, "threshold": 0.01},
    "cooldown": {"mode": "min", "patience": 0, "factor": 0.3, "cooldown": 3, "threshold_mode": "abs"},
    "least": {"mode": "min", "patience": 1, "factor": 0.2, "min_lr": 3e-3, "threshold": 0.05},
    "eps": {"mode": "max", "patience": 0, "factor": 0.9, "eps": 5e-3},
}


def make() -> dict[str, np.ndarray]:
    random = np.random.RandomState(0)
    # A problem of least squares, badly conditioned: momentum matters.
    x = (random.normal(size=(40, 6)) * np.geomspace(0.2, 2, 6)).astype(np.float32)
    y, start = random.normal(size=(40, 3)).astype(np.float32), random.normal(size=(6, 3)).astype(np.float32)
    out = {"x": x, "y": y, "start": start}
    for scheduler, make_scheduler in SCHEDULERS.items():
        for name, (kind, arguments, rate) in CYCLES.items():
            w = torch.tensor(start, requires_grad=True)
            optimizer = kind([w], lr=rate, **arguments)
            schedule, path, momenta = make_scheduler(optimizer, rate), [], []
            for _ in range(STEPS):
                optimizer.zero_grad()
                ((torch.tensor(x) @ w - torch.tensor(y)) ** 2).mean().backward()
                group = optimizer.param_groups[0]
                momenta.append(group["betas"][0] if "betas" in group else group["momentum"])
                optimizer.step()
                schedule.step()
                path.append(w.detach().clone())
            out[f"{scheduler}/{name}/path"] = torch.stack(path).numpy()
            out[f"{scheduler}/{name}/momentum"] = np.array(momenta)
    for name, arguments in PLATEAUS.items():
        trend = np.geomspace(2, 0.5, PLATEAU_EPOCHS) if arguments["mode"] == "min" else np.linspace(0.2, 0.9, 60) ** 0.5
        metrics = (trend + 0.1 * random.normal(size=PLATEAU_EPOCHS)).astype(np.float32)
        optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.4)
        scheduler, rates = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, **arguments), []
        for metric in metrics:
            optimizer.step()
            scheduler.step(float(metric))
            rates.append(optimizer.param_groups[0]["lr"])
        out[f"plateau/{name}/metrics"], out[f"plateau/{name}/rates"] = metrics, np.array(rates)
    return out


if __name__ == "__main__":
    np.savez_compressed(sys.argv[1], **make())
