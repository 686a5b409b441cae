"""Records what PyTorch's learning-rate schedulers do, so that the test-suite can compare without it.

  python -m venv torch && torch/bin/pip install torch numpy
  torch/bin/python tests/tools/make_schedule_fixtures.py tests/fixtures/torch_schedules.npz
  torch/bin/python tests/tools/make_schedule_fixtures.py other.npz 7        arguments drawn from the seed 7

Each entry's name is the JSON of a config's `schedule` block but for its unit; the entry is [2, STEPS]: the rate and the
momentum before each step, of SGD with a rate of 0.4 and a momentum of 0.7. Of ReduceLROnPlateau it is [2, STEPS] too:
the metric's values, and the rate after each.
"""

import json
import math
import sys
import warnings

import numpy as np
import torch
from torch.optim import lr_scheduler
from torch.optim.swa_utils import SWALR

STEPS, BASE, MOMENTUM = 150, 0.4, 0.7
NAMES = {name: getattr(lr_scheduler, name) for name in dir(lr_scheduler) if name.endswith(("LR", "Restarts"))}
NAMES["SWALR"] = SWALR

FIXED = {
    "LambdaLR": [
        {"lr_lambda": "0.95 ** t"}, {"lr_lambda": "min(1, t / 7) * 0.1 ** (t // 30)"},
        {"lr_lambda": "1 if t < 10 else 0.1 + 0.9 * exp(-t / 20) * cos(pi * t / 11) ** 2"},
        {"lr_lambda": "abs(sin(t)) + sqrt(t) % 2 + log(1 + t)"},
    ],
    "MultiplicativeLR": [
        {"lr_lambda": "0.95"}, {"lr_lambda": "1 - 0.5 / (t + 1)"}, {"lr_lambda": "0.5 if t % 20 == 0 else 1"},
    ],
    "StepLR": [
        {"step_size": 30, "gamma": 0.5}, {"step_size": 1, "gamma": 0.97}, {"step_size": 7, "gamma": 1.1},
        {"step_size": 41, "gamma": 0.1},
    ],
    "MultiStepLR": [
        {"milestones": [10, 50, 50, 90], "gamma": 0.3}, {"milestones": [90, 10], "gamma": 0.1},
        {"milestones": [1], "gamma": 2.0},
    ],
    "ConstantLR": [
        {"factor": 1 / 3, "total_iters": 5}, {"factor": 0.7, "total_iters": 100}, {"factor": 0.01, "total_iters": 1},
    ],
    "LinearLR": [
        {"start_factor": 1 / 3, "end_factor": 1.0, "total_iters": 5},
        {"start_factor": 1.0, "end_factor": 0.0, "total_iters": 120},
        {"start_factor": 0.001, "end_factor": 0.6, "total_iters": 47},
    ],
    "ExponentialLR": [{"gamma": 0.97}, {"gamma": 0.5}, {"gamma": 1.01}],
    "PolynomialLR": [
        {"total_iters": 5, "power": 1.0}, {"total_iters": 120, "power": 2.0}, {"total_iters": 149, "power": 0.5},
    ],
    "CosineAnnealingLR": [
        {"T_max": 120, "eta_min": 0.001}, {"T_max": 45, "eta_min": 0.0}, {"T_max": 7, "eta_min": 0.1},
        {"T_max": 150, "eta_min": 0.0}, {"T_max": 1, "eta_min": 0.0},
    ],
    "CosineAnnealingWarmRestarts": [
        {"T_0": 30, "T_mult": 1, "eta_min": 0.0}, {"T_0": 10, "T_mult": 2, "eta_min": 0.01},
        {"T_0": 3, "T_mult": 3, "eta_min": 0.0}, {"T_0": 1, "T_mult": 1, "eta_min": 0.0},
    ],
    "CyclicLR": [
        {"base_lr": 0.04, "step_size_up": 20}, {"base_lr": 0.1, "step_size_up": 7, "step_size_down": 13},
        {"base_lr": 0.0, "step_size_up": 10, "step_size_down": 25, "mode": "triangular2", "max_momentum": 0.95},
        {"base_lr": 0.01, "step_size_up": 15, "mode": "exp_range", "gamma": 0.98, "base_momentum": 0.5},
        {"base_lr": 0.01, "step_size_up": 16, "step_size_down": 3, "cycle_momentum": False},
    ],
    "OneCycleLR": [
        {}, {"total_steps": 150, "pct_start": 0.25, "anneal_strategy": "linear", "div_factor": 10.0,
             "final_div_factor": 100.0},
        {"pct_start": 0.4, "three_phase": True, "base_momentum": 0.6}, {"cycle_momentum": False, "pct_start": 0.001},
        {"three_phase": True, "anneal_strategy": "linear", "pct_start": 0.1, "max_momentum": 0.99},
    ],
    "SWALR": [
        {"swa_lr": 0.05, "anneal_epochs": 10}, {"swa_lr": 0.6, "anneal_epochs": 140, "anneal_strategy": "linear"},
        {"swa_lr": 0.0, "anneal_epochs": 100}, {"swa_lr": 0.1, "anneal_epochs": 0},
    ],
    "SequentialLR": [
        {"schedulers": [["LinearLR", {"total_iters": 5}], ["ExponentialLR", {"gamma": 0.97}]], "milestones": [5]},
        {"schedulers": [["ConstantLR", {"factor": 0.1, "total_iters": 20}], ["StepLR", {"step_size": 9, "gamma": 0.7}],
                        ["CosineAnnealingLR", {"T_max": 30, "eta_min": 0.02}]], "milestones": [20, 77]},
        {"schedulers": [["ExponentialLR", {"gamma": 0.98}], ["SWALR", {"swa_lr": 0.05, "anneal_epochs": 30}]],
         "milestones": [60]},
        {"schedulers": [["MultiplicativeLR", {"lr_lambda": "0.99"}], ["PolynomialLR", {"total_iters": 20}],
                        ["CosineAnnealingWarmRestarts", {"T_0": 10, "T_mult": 2}], ["MultiStepLR", {"milestones": [3]}],
                        ["MultiplicativeLR", {"lr_lambda": "0.9 - t / 1000"}]], "milestones": [11, 25, 90, 110]},
        {"schedulers": [["LambdaLR", {"lr_lambda": "1 / (1 + t)"}], ["LinearLR", {"end_factor": 0.5}],
                        ["SWALR", {"swa_lr": 0.3, "anneal_strategy": "linear"}]], "milestones": [50, 100]},
        {"schedulers": [["OneCycleLR", {"total_steps": 100}], ["SWALR", {"swa_lr": 0.05}]], "milestones": [95]},
        {"schedulers": [["OneCycleLR", {"total_steps": 100, "three_phase": True}],
                        ["MultiplicativeLR", {"lr_lambda": "1.01"}]], "milestones": [60]},
        {"schedulers": [["CyclicLR", {"base_lr": 0.1, "step_size_up": 12}], ["SWALR", {"swa_lr": 0.01}]],
         "milestones": [80]},
        {"schedulers": [["LinearLR", {}], ["CyclicLR", {"base_lr": 0.1, "step_size_up": 12}], ["ExponentialLR", {}]],
         "milestones": [9, 80]},
    ],
    "ChainedScheduler": [
        {"schedulers": [["ConstantLR", {"factor": 0.1, "total_iters": 20}], ["ExponentialLR", {"gamma": 0.9}]]},
        {"schedulers": [["LinearLR", {"total_iters": 30}], ["StepLR", {"step_size": 20, "gamma": 0.5}],
                        ["MultiStepLR", {"milestones": [40, 41], "gamma": 0.9}]]},
        {"schedulers": [["CosineAnnealingLR", {}], ["LinearLR", {"start_factor": 0.1}]]},
        {"schedulers": [["PolynomialLR", {"total_iters": 140, "power": 0.5}],
                        ["MultiplicativeLR", {"lr_lambda": "0.99"}],
                        ["MultiplicativeLR", {"lr_lambda": "1 + t / 5000"}]]},
    ],
}  # fmt: skip
WARMED_UP = [  # PyTorch's warm-up is a LinearLR in a SequentialLR
    ("StepLR", {"step_size": 30, "gamma": 0.5, "warmup": 20, "warmup_start_factor": 0.1}),
    ("CosineAnnealingLR", {"T_max": 130, "eta_min": 0.01, "warmup": 20, "warmup_start_factor": 0.01}),
    ("CosineAnnealingWarmRestarts", {"T_0": 10, "T_mult": 2, "warmup": 7, "warmup_start_factor": 0.5}),
    ("OneCycleLR", {"total_steps": 140, "warmup": 10, "warmup_start_factor": 0.2}),
    ("PolynomialLR", {"total_iters": 60, "power": 2.0, "warmup": 1, "warmup_start_factor": 0.01}),
]


def make_scheduler(optimizer, name, arguments):
    arguments = dict(arguments)
    if "warmup" in arguments:
        rise, factor = arguments.pop("warmup"), arguments.pop("warmup_start_factor")
        warm = lr_scheduler.LinearLR(optimizer, factor, 1.0, total_iters=rise)
        return lr_scheduler.SequentialLR(optimizer, [warm, make_scheduler(optimizer, name, arguments)], [rise])
    if "schedulers" in arguments:
        children = [make_scheduler(optimizer, *child) for child in arguments.pop("schedulers")]
        return NAMES[name](optimizer, children, **arguments) if arguments else lr_scheduler.ChainedScheduler(children)
    if "lr_lambda" in arguments:
        text = arguments["lr_lambda"]
        arguments["lr_lambda"] = lambda t: eval(text, vars(math) | {"t": t, "min": min, "max": max, "abs": abs})
    if name in ("CyclicLR", "OneCycleLR"):
        arguments["max_lr"] = BASE
    defaults = {
        "OneCycleLR": {"total_steps": STEPS},
        "CosineAnnealingLR": {"T_max": STEPS},
        "ExponentialLR": {"gamma": 0.9},
    }
    return NAMES[name](optimizer, **defaults.get(name, {}) | arguments)


def run(name, arguments):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE, momentum=MOMENTUM)
    scheduler, rows = make_scheduler(optimizer, name, arguments), []
    for step in range(STEPS):
        rows.append([optimizer.param_groups[0][key] for key in ("lr", "momentum")])
        optimizer.step()
        if step < STEPS - 1:
            scheduler.step()
    return np.array(rows).T


def plateau_arguments(random):
    mode = str(random.choice(["min", "max"]))
    return {
        "mode": mode, "metric": "validation_loss" if mode == "min" else "validation_accuracy",
        "factor": float(random.choice([0.1, 0.5, 0.9])), "patience": int(random.randint(0, 6)),
        "threshold": float(random.choice([0.0, 1e-4, 0.05])), "threshold_mode": str(random.choice(["rel", "abs"])),
        "cooldown": int(random.randint(0, 5)), "min_lr": float(random.choice([0.0, 0.003])),
        "eps": float(random.choice([1e-8, 1e-2])),
    }  # fmt: skip


def run_plateau(arguments, random):
    values = np.round(np.cumsum(random.standard_normal(STEPS)) * 0.05 + 0.5, 2)  # rounded, so that some are equal
    values[random.random_sample(STEPS) < 0.05] = math.nan
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=BASE)
    own = {key: value for key, value in arguments.items() if key != "metric"}
    scheduler, rates = lr_scheduler.ReduceLROnPlateau(optimizer, **own), []
    for value in values:
        scheduler.step(value)
        rates.append(optimizer.param_groups[0]["lr"])
    return np.array([values, rates])


def drawn(random):
    """(name, arguments) of every scheduler with random arguments; compositions of random children."""

    def whole(low, high):
        return int(random.randint(low, high))

    def real(low, high):
        return float(random.uniform(low, high))

    def choice(*values):
        return values[random.randint(len(values))]

    def momentum(**arguments):
        low = real(0, 0.9)
        return arguments | {
            "cycle_momentum": choice(True, False),
            "base_momentum": low,
            "max_momentum": real(low, 0.99),
        }

    simple = {
        "LambdaLR": lambda: {"lr_lambda": f"{real(0.9, 1)} ** t * {choice('1', 'min(1, t / 9)', '(1 - t / 200)')}"},
        "MultiplicativeLR": lambda: {"lr_lambda": f"{real(0.9, 1)} - {real(0, 0.0001)} * t"},
        "StepLR": lambda: {"step_size": whole(1, 90), "gamma": real(0.1, 1)},
        "MultiStepLR": lambda: {"milestones": [whole(1, 150) for _ in range(whole(1, 7))], "gamma": real(0.1, 1)},
        "ConstantLR": lambda: {"factor": real(0.01, 1), "total_iters": whole(1, 150)},
        "LinearLR": lambda: {"start_factor": real(0.01, 1), "end_factor": real(0, 1), "total_iters": whole(1, 150)},
        "ExponentialLR": lambda: {"gamma": real(0.8, 1)},
        "PolynomialLR": lambda: {"total_iters": whole(1, 160), "power": real(0.3, 3)},
        "CosineAnnealingLR": lambda: {"T_max": whole(1, 160), "eta_min": real(0, 0.2)},
        "CosineAnnealingWarmRestarts": lambda: {"T_0": whole(1, 60), "T_mult": whole(1, 4), "eta_min": real(0, 0.2)},
    }
    others = {
        "SWALR": lambda: {"swa_lr": real(0, 0.5), "anneal_epochs": whole(0, 150),
                          "anneal_strategy": choice("cos", "linear")},
        "CyclicLR": lambda: momentum(base_lr=real(0, 0.3), step_size_up=whole(1, 60), step_size_down=whole(1, 60),
                                     mode=choice("triangular", "triangular2", "exp_range"), gamma=real(0.9, 1)),
        "OneCycleLR": lambda: momentum(pct_start=real(0.02, 0.49), anneal_strategy=choice("cos", "linear"),
                                       div_factor=real(1, 50), final_div_factor=real(1, 1e4),
                                       three_phase=choice(True, False)),
    }  # fmt: skip
    for name, arguments in (simple | others).items():
        yield name, arguments()
    starts = sorted(random.choice(np.arange(1, 140), 2, replace=False).tolist())
    names = [choice(*simple), choice(*simple), choice(*simple, "SWALR")]
    children = [[name, (simple | others)[name]()] for name in names]
    yield "SequentialLR", {"schedulers": children, "milestones": starts}
    names = [
        choice("StepLR", "ExponentialLR", "LinearLR", "PolynomialLR", "ConstantLR", "MultiStepLR") for _ in range(3)
    ]
    yield "ChainedScheduler", {"schedulers": [[name, simple[name]()] for name in names]}


def make(seed):
    random = np.random.RandomState(seed or 0)
    if seed is None:
        cases = [(name, arguments) for name, several in FIXED.items() for arguments in several] + WARMED_UP
    else:
        cases = [case for _ in range(6) for case in drawn(random)]
    out = {json.dumps({"name": name} | arguments): run(name, arguments) for name, arguments in cases}
    for _ in range(24):
        arguments = plateau_arguments(random)
        out[json.dumps({"name": "ReduceLROnPlateau"} | arguments)] = run_plateau(arguments, random)
    return out


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # children of a SequentialLR warn of what their parent does
    made = make(int(sys.argv[2]) if len(sys.argv) > 2 else None)
    np.savez_compressed(sys.argv[1], names=np.array(list(made)), values=np.array(list(made.values())))
