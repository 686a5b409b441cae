"""Every key of the configuration: its default, what it may be, and why.

The blocks `model`, `optimizer`, `schedule` and `loss` hold a name and that variant's own arguments, so that a config
never carries a key that nothing reads.
"""

from cnn_jax.config.augment_keys import AUGMENTATIONS
from cnn_jax.config.model_keys import MODELS, PADDING_MODES
from cnn_jax.config.optimizer_keys import LOSSES, OPTIMIZERS
from cnn_jax.config.rules import (
    Key,
    auto,
    choice,
    flag,
    globs,
    integer,
    maybe,
    number,
    pairs,
    pattern,
    share,
    size,
    text,
)
from cnn_jax.config.schedule_keys import SCHEDULES
from cnn_jax.config.tables import DataSource, Variant

__all__ = [
    "AUGMENTATIONS",
    "EVAL_TTA",
    "KEYS",
    "LOSSES",
    "MODELS",
    "OPTIMIZERS",
    "PADDING_MODES",
    "SCHEDULES",
    "SOURCES",
    "VARIANTS",
]

EVAL_TTA = ("none", "flip", "flip_translate")

VARIANTS: dict[str, dict[str, Variant]] = {
    "model": MODELS, "optimizer": OPTIMIZERS, "schedule": SCHEDULES, "loss": LOSSES,
}  # fmt: skip

# The sources of data, with what a config's `data.source` says of each.
SOURCES: dict[str, DataSource] = {
    "digits": DataSource("cnn_jax.data.sources.digits:load_digits", "handwritten, of scikit-learn"),
    "tfds": DataSource("cnn_jax.data.sources.tfds:load_tfds", "any TFDS dataset", ("name", "dir")),
    "folder": DataSource(
        "cnn_jax.data.sources.folder:load_folder",
        "one folder per class",
        ("dir", "group", "include", "exclude", "layout"),
    ),
    "csv": DataSource(
        "cnn_jax.data.sources.csv:load_csv",
        "a manifest",
        ("dir", "group", "image_column", "label_column", "split_column", "images_dir"),
    ),
    "npz": DataSource("cnn_jax.data.sources.npz:load_npz", "arrays", ("dir",)),
    "synthetic": DataSource("cnn_jax.data.sources.synthetic:load_synthetic", "made up"),
    "arrays": DataSource("cnn_jax.data.sources.in_memory:load_arrays", "of a Python program, given to fit"),
}


def source_key() -> Key:
    """The key `data.source`, with the names that there are by now."""
    return Key("digits", choice(*SOURCES), "; ".join(f"{name}: {source.why}" for name, source in SOURCES.items()))


def augment_key() -> Key:
    """The key `augment`, with the operations that there are by now."""
    rules = {name: operation.rule for name, operation in AUGMENTATIONS.items()}
    example = "(('flip', 0.5), ('translate', 2))"
    why = f"(name, strength) pairs, in order, as in {example}; --help=augment lists them"
    return Key((), pairs(rules, example), why)


KEYS: dict[str, Key] = {
    "seed": Key(0, integer(0, 2**31 - 1), "of everything random; the data splits do not depend on it"),
    "data.source": source_key(),
    "data.name": Key(None, maybe(text()), "the TFDS dataset, as name, name/config or name:version"),
    "data.dir": Key(
        None, maybe(text()),
        "folder: its root; csv: the manifest; npz: the archive; tfds: where prepared datasets lie (None: TFDS_DATA_DIR "
        "or ~/tensorflow_datasets)",
    ),
    "data.include": Key((), globs(), "of a folder only what one of these matches, as in '*.jpg'; (): everything"),
    "data.exclude": Key((), globs(), "of a folder all but what one of these matches, as in ('masks', 'train/*/old_*')"),
    "data.layout": Key(
        "auto", choice("auto", "classes"),
        "auto: train/, validation/ and test/ of a folder are told by their names; classes: each folder is a class",
    ),
    "data.image_column": Key("path", text(), "csv: the column with the paths of the images"),
    "data.label_column": Key("label", text(), "csv: the column with the names of the classes"),
    "data.split_column": Key(
        "split", maybe(text()), "csv: the column that says train, validation or test, if there is one; None: use none"
    ),
    "data.images_dir": Key(
        None, maybe(text()), "csv: the folder that the paths are relative to; None: the manifest's own"
    ),
    "data.group": Key(
        None, maybe(text()),
        "images that no split may part, as of one person: a column of the manifest; or a regular expression whose "
        "groups, as in '([^_]+)_', say it of a file's name (folder: of its path in the class folder)",
    ),
    "data.image_size": Key(None, maybe(size()), "(height, width) of the network's input; None: as in the dataset"),
    "data.channels": Key(None, maybe(integer(1, 3)), "1 or 3; None: as in the dataset"),
    "data.resize": Key("crop", choice("crop", "stretch", "pad"), "how an image of another shape is fitted"),
    "data.interpolation": Key(
        "bilinear", choice("bilinear", "bicubic"), "how the pixels of a fitted image are made, with antialiasing"
    ),
    "data.validation": Key(0.1, share(), "taken from training data, where the source has no validation split"),
    "data.test": Key(0.2, share(), "taken from training data, where the source has no test split"),
    "data.folds": Key(
        None, maybe(integer(2)),
        "divide the training data into so many parts, for cross-validation (cnn_jax repeat); the test split is not "
        "touched then",
    ),
    "data.fold": Key(0, integer(0), "which of data.folds, from 0, is the validation split"),
    "data.center_crop": Key(
        1.0, number(above=0, most=1), "share of the sides that is kept, about the centre, before an image is fitted"
    ),
    "data.black": Key(
        0.0, number(), "the value that is black in pictures with more than 8 bits a channel, as -1; see data.white"
    ),
    "data.white": Key(
        None, maybe(number()),
        "the value that is white in such pictures, as 4095 for 12 bits in a 16-bit file; None: the largest that the "
        "format has, 1 of floats",
    ),
    "data.normalization": Key(
        "dataset", choice("dataset", "unit", "half", "imagenet", "pretrained", "per_image", "none"),
        "dataset: mean and std of the training split; unit: pixels / 255; half: mean and std 0.5; pretrained: as for "
        "init_from",
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
    "augment": augment_key(),
    "augment_padding_mode": Key(
        "zero",
        choice(*(name for name in PADDING_MODES if name not in ("crop", "same", "full"))),
        "what augmentation sees beyond the border",
    ),
    "batch_size": Key(128, integer(1), "examples per training step; a last partial batch of an epoch is left out"),
    "eval_batch_size": Key(512, integer(1), "examples per evaluation step; it changes no figure"),
    "num_epochs": Key(
        10, integer(0), "passes over the training split; 0: nothing is trained but what head_init gives to init_from"
    ),
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
        None, maybe(text()),
        "a run directory, a file of weights, or the name of published ones (mobilenet_v2), from which training starts; "
        "with other classes the head is new",
    ),
    "head_init": Key(
        "random", choice("random", "linear_probe"),
        "what a new last layer starts from; linear_probe: logistic regression on the features of init_from's backbone",
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
