"""Every key of the configuration: its default, what it may be, and why.

The blocks `model`, `optimizer` and `schedule` hold a name and that variant's own arguments, so that a config never
carries a key that nothing reads.
"""

import dataclasses

from cnn_jax.config.model_keys import MODELS, PADDING_MODES
from cnn_jax.config.rules import (
    Key,
    auto,
    choice,
    flag,
    integer,
    limits,
    maybe,
    multipliers,
    number,
    pairs,
    pattern,
    row,
    share,
    size,
    text,
)
from cnn_jax.config.schedule_keys import SCHEDULES

EVAL_TTA = ("none", "flip", "flip_translate")

_learning_rate = Key(1e-3, number(above=0), "the schedule's base rate (of OneCycleLR: its peak)")
_weight_decay = Key(0.0, number(0), "L2 penalty, added to the gradient as PyTorch does")
_decoupled = dataclasses.replace(_weight_decay, why="decoupled from the gradient (Loshchilov & Hutter 2019)")
_decay_all = Key(False, flag(), "also decay biases and normalisation parameters")
_multipliers = Key(
    (),
    multipliers(),
    "(regular expression, factor) pairs: the first that is found in a parameter's name scales its rate",
)
_clip = Key(None, maybe(number(above=0)), "rescale the gradient where its global norm is larger")
_b1 = Key(0.9, number(0, below=1), "decay of the running mean of gradients")
_b2 = Key(0.999, number(0, below=1), "decay of the running mean of squared gradients")
_momentum = Key(0.9, number(0, below=1), "share of the last update that is kept")
_nesterov = Key(False, flag(), "look ahead along the momentum (Sutskever et al. 2013)")


def _optimizer(weight_decay: Key = _weight_decay, rate: float = 1e-3, **own: Key) -> dict[str, Key]:
    learning_rate = dataclasses.replace(_learning_rate, default=rate)
    shared = {"weight_decay": weight_decay, "decay_bias_and_norm": _decay_all, "clip_norm": _clip}
    shared["rate_multipliers"] = _multipliers
    return {"learning_rate": learning_rate, **own, **shared}


def _eps(default: float) -> Key:
    return Key(default, number(above=0), "keeps the division finite")


OPTIMIZERS: dict[str, dict[str, Key]] = {
    "sgd": _optimizer(
        rate=0.1, momentum=_momentum, nesterov=_nesterov,
        lookahead_steps=Key(0, integer(0), "between moves of the slow weights (Zhang et al. 2019); 0: there are none"),
        lookahead_decay=Key(
            0.95, number(0, below=1), "share of the slow weights that is kept a step, at the end; before it less"
        ),
    ),
    "adam": _optimizer(b1=_b1, b2=_b2, eps=_eps(1e-8)),
    "adamw": _optimizer(dataclasses.replace(_decoupled, default=0.01), b1=_b1, b2=_b2, eps=_eps(1e-8)),
    "rmsprop": _optimizer(
        decay=Key(0.99, number(0, below=1), "of the running mean of squared gradients (PyTorch's alpha)"),
        eps=_eps(1e-8),
        momentum=dataclasses.replace(_momentum, default=0.0),
    ),
    "adagrad": _optimizer(rate=1e-2, eps=_eps(1e-10)),
    "adadelta": _optimizer(
        rate=1.0, rho=Key(0.9, number(0, below=1), "decay of both running means (Zeiler 2012)"), eps=_eps(1e-6)
    ),
    "lion": _optimizer(
        _decoupled, rate=1e-4, b1=_b1, b2=dataclasses.replace(_b2, default=0.99)
    ),
    "lamb": _optimizer(_decoupled, b1=_b1, b2=_b2, eps=_eps(1e-6)),
    "lars": _optimizer(
        rate=1.0, momentum=_momentum, nesterov=_nesterov,
        trust_coefficient=Key(1e-3, number(above=0), "length of a layer's update per length of its weights"),
    ),
    "muon": _optimizer(
        _decoupled, rate=0.02, momentum=dataclasses.replace(_momentum, default=0.95),
        nesterov=dataclasses.replace(_nesterov, default=True),
        ns_steps=Key(5, integer(1), "Newton-Schulz iterations that orthogonalise an update"),
        adam_learning_rate=Key(
            1e-3, number(above=0), "base rate of what is not a hidden kernel: biases, normalisation, the last layer"
        ),
    ),
}  # fmt: skip

_probability = number(0, 1)
_pixels = integer(0, 1024)
_area = limits(number(above=0, most=1), number(above=0, most=1), "(least, most) share of the area, above 0, at most 1")
_waves = limits(
    number(0), number(1, 1024), "(pixels, sigma), sigma from 1 to 1024, pixels from 0 to sigma: more would fold images"
)
_operations = row(
    integer(1, 14), number(0, 30), expects="(number of operations of at least 1 and at most 14, magnitude from 0 to 30)"
)

# Of each operation the strength it is often used with, what the strength may be, and what it means.
AUGMENTATIONS: dict[str, Key] = {
    "rotate": Key(15.0, number(0, 180), "by up to so many degrees, either way"),
    "translate": Key(2, _pixels, "by up to so many whole pixels, along both axes"),
    "scale": Key(0.1, number(0, 9), "by a factor between 1 / (1 + s) and 1 + s"),
    "shear": Key(10.0, number(0, 80), "by up to so many degrees, along both axes"),
    "elastic": Key((1.0, 4.0), _waves, "(pixels, sigma): so far, as standard deviation, smooth over sigma pixels"),
    "flip": Key(0.5, _probability, "left and right, with this probability"),
    "vertical_flip": Key(0.5, _probability, "top and bottom, with this probability"),
    "alternating_flip": Key(True, flag(), "one half of the examples in even epochs, the other half in odd ones"),
    "crop": Key(4, _pixels, "pad by so many pixels, take a random window of the old size"),
    "random_resized_crop": Key((0.35, 1.0), _area, "a box with this (least, most) share of the area, stretched"),
    "brightness": Key(0.4, number(0, 10), "times a factor between 1 - s (0, where s > 1) and 1 + s"),
    "contrast": Key(0.4, number(0, 10), "stretched about the mean gray, factor as of brightness"),
    "saturation": Key(0.4, number(0, 10), "stretched about the gray image, factor as of brightness"),
    "hue": Key(0.1, number(0, 0.5), "turned by up to this share of the colour circle, either way"),
    "grayscale": Key(0.1, _probability, "without colour, with this probability"),
    "noise": Key(8.0, number(0, 255), "Gaussian, with this standard deviation in gray levels"),
    "blur": Key(1.0, number(0, 16), "Gaussian, with a sigma of up to so many pixels"),
    "cutout": Key(8, _pixels, "a square with sides of so many pixels, covered with the image's mean colour"),
    "random_erasing": Key(0.25, _probability, "a rectangle, covered with random values, with this probability"),
    "mixup": Key(0.2, number(0, 100), "blended with another example, share from Beta(s, s); labels too"),
    "cutmix": Key(1.0, number(0, 100), "a box of another example, share from Beta(s, s); labels too"),
    "randaugment": Key((2, 9.0), _operations, "(number of operations, magnitude 0 to 30), Cubuk et al. 2020"),
    "trivial_augment": Key(1.0, number(0, 1), "share of the wide ranges; 1.0 as in Müller & Hutter 2021"),
}

VARIANTS = {"model": MODELS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES}

KEYS: dict[str, Key] = {
    "seed": Key(0, integer(0, 2**31 - 1), "of everything random; the data splits do not depend on it"),
    "data.source": Key(
        "digits", choice("digits", "tfds", "folder", "csv", "npz", "synthetic"),
        "digits come with scikit-learn; tfds: any TFDS dataset; folder: one folder per class; csv: a manifest; npz: "
        "arrays; synthetic: made up",
    ),
    "data.name": Key(None, maybe(text()), "the TFDS dataset, as name, name/config or name:version"),
    "data.dir": Key(
        None, maybe(text()),
        "folder: its root; csv: the manifest; npz: the archive; tfds: where prepared datasets lie (None: TFDS_DATA_DIR "
        "or ~/tensorflow_datasets)",
    ),
    "data.image_size": Key(None, maybe(size()), "(height, width) of the network's input; None: as in the dataset"),
    "data.channels": Key(None, maybe(integer(1, 3)), "1 or 3; None: as in the dataset"),
    "data.resize": Key("crop", choice("crop", "stretch", "pad"), "how an image of another shape is fitted"),
    "data.validation": Key(0.1, share(), "taken from training data, where the source has no validation split"),
    "data.test": Key(0.2, share(), "taken from training data, where the source has no test split"),
    "data.center_crop": Key(
        1.0, number(above=0, most=1), "share of the sides that is kept, about the centre, before an image is fitted"
    ),
    "data.normalization": Key(
        "dataset", choice("dataset", "unit", "half", "per_image", "none"),
        "dataset: mean and std of the training split; unit: pixels / 255; half: mean and std 0.5",
    ),
    "data.loading": Key(
        "auto", choice("auto", "resident", "streamed"),
        "resident: all images decoded in (device) memory; streamed: decoded as they are needed; auto: by their size",
    ),
    "data.workers": Key(
        None, maybe(integer(0, 512)), "processes that decode streamed images; 0: threads; None: by the number of cores"
    ),
    "data.on_error": Key("raise", choice("raise", "skip"), "what images that cannot be read do: stop, or be left out"),
    "data.sampling": Key(
        "shuffled", choice("shuffled", "balanced"), "balanced: every class is seen equally often, rare ones repeatedly"
    ),
    "data.examples": Key(10_000, integer(2), "how many images the synthetic source has"),
    "data.classes": Key(10, integer(2), "how many classes the synthetic source has"),
    "augment": Key(
        (), pairs({name: entry.rule for name, entry in AUGMENTATIONS.items()}, "(('flip', 0.5), ('translate', 2))"),
        "(name, strength) pairs, in order, as in (('flip', 0.5), ('translate', 2)); listed at the end",
    ),
    "augment_padding_mode": Key(
        "zero", choice(*(name for name in PADDING_MODES if name != "crop")), "what augmentation sees beyond the border"
    ),
    "loss.name": Key("cross_entropy", choice("cross_entropy"), "what training minimises"),
    "loss.class_weights": Key(
        "none", choice("none", "balanced"), "balanced: classes weigh in inverse proportion to their training examples"
    ),
    "loss.label_smoothing": Key(0.0, number(0, below=1), "share of the label spread over all classes, in training"),
    "batch_size": Key(128, integer(1), "examples per training step; a last partial batch of an epoch is left out"),
    "eval_batch_size": Key(512, integer(1), "examples per evaluation step; it changes no figure"),
    "num_epochs": Key(10, integer(1), "passes over the training split"),
    "precision": Key(
        "float32", choice("float32", "bfloat16", "float16", "float64"),
        "of the computation; parameters, statistics and loss stay float32; float16 scales the loss as it goes; "
        "float64: all of it, for exactness tests",
    ),
    "accumulate_steps": Key(1, integer(1), "parts into which a batch is split to save memory; one update for all"),
    "remat": Key("none", choice("none", "stage"), "stage: compute each stage again on the way back, to save memory"),
    "steps_per_call": Key(
        "auto", auto(integer(1)), "training steps in one compiled call, of resident data; auto: 1 on CPU"
    ),
    "ema_decay": Key(
        None, maybe(number(0, below=1)), "also average parameters and batch statistics, keeping this share at each step"
    ),
    "swa_start": Key(
        None, maybe(integer(1)),
        "average the weights that each epoch ends with, from this epoch on, with batch statistics taken anew (SWA)",
    ),
    "on_nonfinite": Key(
        "stop", choice("stop", "skip"), "what a step does whose loss or gradients are not finite: stop, or be left out"
    ),
    "init_from": Key(
        None, maybe(text()), "a run directory whose best weights are the start; with other classes the head is new"
    ),
    "freeze": Key(
        None, maybe(pattern()), "parameters in whose names (stage1/block2/conv1/kernel) this is found are not trained"
    ),
    "parallel.strategy": Key(
        "jit", choice("jit", "pmap"), "how a step is spread over devices: one program for all, or one for each"
    ),
    "parallel.devices": Key(None, maybe(integer(1)), "how many devices to use; None: all, of all hosts"),
    "parallel.batch_norm": Key(
        "global", choice("global", "per_device"),
        "what BatchNorm takes its statistics over: the whole batch, or each device's part",
    ),
    "patience": Key(None, maybe(integer(1)), "stop after so many epochs without a better checkpoint.metric"),
    "eval_tta": Key(
        "none", choice(*EVAL_TTA),
        "what logits are averaged over, but in training: an image and its mirror image; these shifted by a pixel, too",
    ),
    "checkpoint.every": Key(1.0, number(above=0), "time between checkpoints; the last epoch is always saved"),
    "checkpoint.unit": Key("epochs", choice("epochs", "steps", "minutes"), "what checkpoint.every counts"),
    "checkpoint.keep": Key(2, integer(1), "how many of the last checkpoints are kept, beside the best one"),
    "checkpoint.metric": Key(
        "validation_accuracy", choice("validation_accuracy", "validation_balanced_accuracy", "validation_loss"),
        "what the best checkpoint is best in; balanced: the mean over classes",
    ),
    "tracking.wandb": Key(
        "auto", choice("auto", "off", "offline", "online"),
        "auto: on where an agent started the run, or WANDB_MODE or WANDB_API_KEY is set",
    ),
    "tracking.mlflow": Key(
        "auto", choice("auto", "off", "on"),
        "on: into MLFLOW_TRACKING_URI, or ./mlflow.db; auto: on where MLFLOW_TRACKING_URI is set",
    ),
    "tracking.tensorboard": Key(False, flag(), "also write event files, into WORKDIR/tensorboard"),
}  # fmt: skip
