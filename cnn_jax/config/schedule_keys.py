"""The keys of `schedule`: PyTorch's schedulers, by its class names and argument names.

PyTorch's defaults are kept where they make sense in epochs; where it has none, or counts thousands of updates, the
key's text says so. A child of SequentialLR or ChainedScheduler has the same arguments, and counts in its parent's unit.
"""

import dataclasses
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any

from cnn_jax.config.rules import (
    Key,
    Refusal,
    Rule,
    auto,
    choice,
    did_you_mean,
    expression,
    flag,
    integer,
    maybe,
    number,
    several,
)
from cnn_jax.config.tables import Variant
from cnn_jax.errors import InputError

Child = tuple[str, dict[str, Any]]

# How a schedule counts and begins, whatever it is.
SHARED: dict[str, Key] = {
    "unit": Key("epochs", choice("epochs", "steps"), "what the durations below count"),
    "warmup": Key(
        0.0, number(0), "duration of a linear rise to the schedule's first rate; its own time begins after it"
    ),
    "warmup_start_factor": Key(0.01, number(0), "share of that rate at the very first step"),
}

_gamma = Key(0.1, number(above=0), "factor at each drop")
_eta_min = Key(0.0, number(0), "the lowest rate")
_lambda = Key("0.95 ** t", expression(), "the rate's factor as arithmetic of t, as in '1 if t < 10 else 0.1'")
_iters = Key(5.0, number(above=0), "duration of the change")
_strategy = Key("cos", choice("cos", "linear"), "the form of rise and fall")
_cycle = Key(
    "auto", auto(flag()),
    "also move the momentum (of Adam and its like: b1), against the rate; auto: where there is one",
)  # fmt: skip
_momentum = number(0, below=1)

_METRICS = ("validation_loss", "validation_accuracy", "validation_balanced_accuracy")

_CODE = "cnn_jax.optimization.schedules"

# Those that compositions may hold, and ReduceLROnPlateau, without the keys of SHARED.
SIMPLE: dict[str, Variant] = {
    "constant": Variant(f"{_CODE}.curves:constant"),
    "LambdaLR": Variant(f"{_CODE}.curves:lambda_lr", {"lr_lambda": _lambda}),
    "MultiplicativeLR": Variant(f"{_CODE}.curves:multiplicative", {
        "lr_lambda": dataclasses.replace(_lambda, default="0.95", why="the factor at each whole unit t")
    }),
    "StepLR": Variant(f"{_CODE}.curves:step", {
        "step_size": Key(10.0, number(above=0), "duration between drops"),
        "gamma": _gamma,
    }),
    "MultiStepLR": Variant(f"{_CODE}.curves:multistep", {
        "milestones": Key((10.0, 20.0), several(number(0), least=1), "when the rate drops; repeated ones count"),
        "gamma": _gamma,
    }),
    "ConstantLR": Variant(f"{_CODE}.curves:constant_factor", {
        "factor": Key(1 / 3, number(0, 1), "of the rate, until total_iters"),
        "total_iters": dataclasses.replace(_iters, why="how long the factor acts"),
    }),
    "LinearLR": Variant(f"{_CODE}.curves:linear", {
        "start_factor": Key(1 / 3, number(above=0, most=1), "of the rate, at first"),
        "end_factor": Key(1.0, number(0, 1), "of the rate, from total_iters on"),
        "total_iters": _iters,
    }),
    "ExponentialLR": Variant(f"{_CODE}.curves:exponential", {
        "gamma": dataclasses.replace(_gamma, default=0.9, why="factor per unit (PyTorch: no default)")
    }),
    "PolynomialLR": Variant(f"{_CODE}.curves:polynomial", {
        "total_iters": dataclasses.replace(_iters, why="duration of the fall to 0"),
        "power": Key(1.0, number(above=0), "1: straight; 2: a parabola that ends level"),
    }),
    "CosineAnnealingLR": Variant(f"{_CODE}.curves:cosine", {
        "T_max": Key(None, maybe(number(above=0)), "duration of the fall; None: all that is left of training"),
        "eta_min": _eta_min,
    }),
    "CosineAnnealingWarmRestarts": Variant(f"{_CODE}.cycles:warm_restarts", {
        "T_0": Key(10.0, number(above=0), "duration of the first fall"),
        "T_mult": Key(1, integer(1, 1000), "each fall is so many times as long as the one before"),
        "eta_min": _eta_min,
    }),
    "CyclicLR": Variant(f"{_CODE}.cycles:cyclic", {
        "base_lr": Key(None, maybe(number(0)), "the lowest rate; None: a tenth of the learning rate, the highest"),
        "step_size_up": Key(2.0, number(above=0), "duration of a rise; PyTorch's default is 2000 steps"),
        "step_size_down": Key(None, maybe(number(above=0)), "duration of a fall; None: that of a rise"),
        "mode": Key(
            "triangular", choice("triangular", "triangular2", "exp_range"),
            "cycles of one height; half as high each time; or scaled by gamma ** t",
        ),
        "gamma": Key(1.0, number(above=0, most=1), "of mode exp_range, per unit"),
        "cycle_momentum": _cycle,
        "base_momentum": Key(0.8, _momentum, "the momentum where the rate is highest"),
        "max_momentum": Key(0.9, _momentum, "the momentum where the rate is lowest"),
    }),
    "OneCycleLR": Variant(f"{_CODE}.cycles:one_cycle", {
        "total_steps": Key(None, maybe(number(above=0)), "duration of the cycle; None: all that is left of training"),
        "pct_start": Key(0.3, number(0, below=1), "share of the cycle in which the rate rises"),
        "anneal_strategy": _strategy,
        "cycle_momentum": _cycle,
        "base_momentum": Key(0.85, _momentum, "the momentum where the rate is highest"),
        "max_momentum": Key(0.95, _momentum, "the momentum at the start and the end"),
        "div_factor": Key(25.0, number(above=0), "peak rate / first rate"),
        "final_div_factor": Key(1e4, number(above=0), "first rate / last rate"),
        "three_phase": Key(False, flag(), "fall to the first rate as slowly as it rose, then to the last"),
    }),
    "ReduceLROnPlateau": Variant(f"{_CODE}.making:plateau", {
        "metric": Key("validation_loss", choice(*_METRICS), "what is watched, after each epoch"),
        "mode": Key("min", choice("min", "max"), "whether less or more of it is better"),
        "factor": Key(0.1, number(above=0, below=1), "of the rate, at each reduction"),
        "patience": Key(10, integer(0), "epochs without a better metric that are borne; one more reduces the rate"),
        "threshold": Key(1e-4, number(0), "by how much better counts as better"),
        "threshold_mode": Key("rel", choice("rel", "abs"), "threshold as a share of the best, or as a difference"),
        "cooldown": Key(0, integer(0), "epochs after a reduction that are not counted"),
        "min_lr": Key(0.0, number(0), "the lowest rate"),
        "eps": Key(1e-8, number(0), "a reduction by no more than this is left out"),
    }),
    "SWALR": Variant(f"{_CODE}.curves:swa", {
        "swa_lr": Key(None, maybe(number(0)), "the last rate; None: half the learning rate (PyTorch: no default)"),
        "anneal_epochs": Key(10.0, number(0), "duration of the way there"),
        "anneal_strategy": _strategy,
    }),
}  # fmt: skip

# Their rate depends on the rate before alone, as rate(t) = rate(t - 1) * f(t): several of them act together.
_RECURSIVE = (
    "MultiplicativeLR", "StepLR", "MultiStepLR", "ConstantLR", "LinearLR", "ExponentialLR", "PolynomialLR",
    "CosineAnnealingLR",
)  # fmt: skip
_GO_ON = ("MultiplicativeLR", "SWALR")  # in SequentialLR, from the rate that they find


_EXAMPLE = "(('LinearLR', {'total_iters': 5}), ('ExponentialLR', {'gamma': 0.9}))"


def _children(check: Callable[[tuple[Child, ...]], None]) -> Rule:
    """A tuple of (name, {arguments}) pairs, completed with defaults; `check` refuses combinations."""

    def accept(value: Any) -> tuple[Child, ...]:
        if isinstance(value, str) or not value:
            raise ValueError
        children = tuple(_child(place, *pair) for place, pair in enumerate(value, 1))
        check(children)
        return children

    return Rule(f"a tuple of (name, {{arguments}}) pairs, as in {_EXAMPLE}", accept)


def _child(place: int, name: Any, arguments: Any = None) -> Child:
    given = {} if arguments is None else arguments
    if not isinstance(name, str) or not isinstance(given, Mapping):
        raise ValueError
    here = _here(place, name)
    if name in ("SequentialLR", "ChainedScheduler"):
        raise Refusal(f"{here}: a composition cannot be part of another")
    if name == "ReduceLROnPlateau":
        raise Refusal(f"{here}: it needs a metric, and can only stand alone")
    if name not in SIMPLE:
        others = ", ".join(other for other in SIMPLE if other != "ReduceLROnPlateau")
        raise Refusal(f"{here}: there is none{did_you_mean(name, SIMPLE)}; there are {others}")
    keys = SIMPLE[name]
    for key in given:
        if key in SHARED:
            raise Refusal(f"{here}: '{key}' is one for all of them, config.schedule.{key}")
        if key not in keys:
            hint = did_you_mean(key, keys)
            raise Refusal(f"{here}: it has no '{str(key)[:100]}'{hint}; it has {', '.join(keys) or 'no arguments'}")
    canonical = {}
    for key, entry in keys.items():
        try:
            canonical[key] = entry.rule(given.get(key, entry.default))
        except ValueError as error:
            raise Refusal(f"{here}: {key}={repr(given[key])[:100]}: it {error}") from error
    return name, canonical


def _here(place: int, name: str) -> str:
    return f"is wrong in scheduler {place}, '{name[:100]}'"


def _check_sequence(children: tuple[Child, ...]) -> None:
    """PyTorch's OneCycleLR makes its first rate the base rate of all, and so does CyclicLR where it comes first."""
    names = [name for name, _ in children]
    for place, name in enumerate(names, 1):
        if name == "OneCycleLR" and place > 1:
            raise Refusal(f"{_here(place, name)}: it sets the others' base rate, and can only be the first")
    if names[0] in ("OneCycleLR", "CyclicLR") and any(name not in _GO_ON for name in names[1:]):
        raise Refusal(f"{_here(1, names[0])}: it sets the others' base rate; only {' and '.join(_GO_ON)} can follow")
    if sum(bool(arguments.get("cycle_momentum")) for _, arguments in children) > 1:
        raise Refusal("has several schedulers that cycle the momentum; set cycle_momentum=False in all but one")


def _check_chain(children: tuple[Child, ...]) -> None:
    for place, (name, arguments) in enumerate(children, 1):
        if name not in _RECURSIVE:
            raise Refusal(
                f"{_here(place, name)}: PyTorch's does not multiply the rate that it finds; {', '.join(_RECURSIVE)} do"
            )
        if name == "CosineAnnealingLR" and (arguments["T_max"] is not None or arguments["eta_min"] != 0):
            raise Refusal(f"{_here(place, name)}: it is a factor only with T_max=None and eta_min=0")


_WHY = f"(name, {{arguments}}) pairs, as in {_EXAMPLE}"
COMPOSITIONS: dict[str, Variant] = {
    "SequentialLR": Variant(f"{_CODE}.making:sequential", {
        "schedulers": Key(
            (_child(1, "LinearLR"), _child(2, "ExponentialLR")),
            _children(_check_sequence),
            f"one after another: {_WHY}",
        ),
        "milestones": Key((5.0,), several(number(above=0)), "when the second one begins, the third, ..."),
    }),
    "ChainedScheduler": Variant(f"{_CODE}.making:chained", {
        "schedulers": Key(
            (_child(1, "ConstantLR"), _child(2, "ExponentialLR")), _children(_check_chain), f"all at once: {_WHY}"
        )
    }),
}  # fmt: skip

SCHEDULES: dict[str, Variant] = {
    name: Variant(own.target, SHARED | own, own.own) for name, own in (SIMPLE | COMPOSITIONS).items()
}


def cycles_momentum(flat: Mapping[str, Any]) -> bool:
    """Whether the schedule of a flat, canonical config insists on moving the momentum."""
    children = flat["schedule.schedulers"] if flat["schedule.name"] == "SequentialLR" else ()
    blocks = [{"cycle_momentum": flat.get("schedule.cycle_momentum")}, *(arguments for _, arguments in children)]
    return any(block.get("cycle_momentum") is True for block in blocks)


def check_schedule(flat: Mapping[str, Any]) -> None:
    """What no key of the schedule shows alone, in a flat, canonical config."""
    name, rate = flat["schedule.name"], flat["optimizer.learning_rate"]
    if name == "SequentialLR":
        milestones, wanted = flat["schedule.milestones"], len(flat["schedule.schedulers"]) - 1
        if len(milestones) != wanted:
            raise InputError(
                f"config.schedule.milestones={milestones}: {wanted + 1} schedulers need {wanted}, one fewer"
            )
        if any(later <= earlier for earlier, later in pairwise(milestones)):
            raise InputError(f"config.schedule.milestones={milestones}: each must be later than the one before")
    children = (
        flat["schedule.schedulers"] if name in COMPOSITIONS else ((name, {"base_lr": flat.get("schedule.base_lr")}),)
    )
    for child, arguments in children:
        if child == "CyclicLR" and (arguments["base_lr"] or 0) > rate:
            raise InputError(
                f"config.schedule: base_lr={arguments['base_lr']:g} of CyclicLR is above its highest rate, which is "
                f"config.optimizer.learning_rate={rate:g}"
            )
    if name == "ReduceLROnPlateau":
        metric, mode = flat["schedule.metric"], flat["schedule.mode"]
        right = "min" if metric == "validation_loss" else "max"
        if mode != right:
            raise InputError(f"config.schedule.mode='{mode}': of {metric}, better is '{right}'")


def check_warmup(schedule: Mapping[str, Any], num_epochs: int) -> None:
    """Refuses a warm-up that is as long as training, as far as that is known without the data.

    It is no part of `validate`: a run of former days that was trained so can still be used.
    """
    if schedule["unit"] == "epochs" and schedule["warmup"] >= num_epochs:
        raise InputError(warmup_is_all(schedule["warmup"], f"{num_epochs} epochs", schedule["name"]))


def warmup_is_all(warmup: float, training: str, name: str) -> str:
    """The line that refuses it."""
    return (
        f"config.schedule.warmup={warmup:g}: it is as long as all of training ({training}), so that '{name}' itself "
        f"would never begin; make it shorter, or 0"
    )
