"""Which key of the config is meant by a name that is none: as other trainers call it, or misspelt."""

import difflib
from collections.abc import Iterable

from cnn_jax.config.rules import did_you_mean

# What PyTorch's examples, timm, Keras, Lightning and Hugging Face's trainer call it.
_ALSO_CALLED = {
    "optimizer.learning_rate": ("lr", "rate", "base_lr", "max_lr", "init_lr", "peak_lr", "blr"),
    "optimizer.weight_decay": ("wd", "l2", "decay", "weightdecay"),
    "optimizer.clip_norm": (
        "clip", "clip_grad", "grad_clip", "gradient_clip", "clip_value", "gradient_clip_val", "max_grad_norm",
    ),
    "optimizer.b1": ("beta1", "adam_beta1", "beta_1"),
    "optimizer.b2": ("beta2", "adam_beta2", "beta_2"),
    "optimizer.name": ("optimizer", "opt", "optim"),
    "schedule.name": ("schedule", "scheduler", "sched", "lr_scheduler", "lr_schedule", "lr_scheduler_type"),
    "schedule.warmup": ("warmup_epochs", "warmup_steps", "lr_warmup_epochs", "num_warmup_steps", "warm_up"),
    "model.name": ("model", "arch", "architecture", "network", "net", "backbone"),
    "model.dropout": ("drop", "drop_rate", "dropout_rate"),
    "model.filters": ("channels_per_block", "widths", "num_filters"),
    "model.activation": ("act", "activation_fn"),
    "loss.name": ("loss", "criterion"),
    "loss.label_smoothing": ("smoothing", "label_smoothing_factor"),
    "data.source": ("dataset", "source", "dataset_name"),
    "data.dir": ("data", "data_dir", "data_path", "data_root", "root", "train_dir", "dataset_dir", "dir", "folder"),
    "data.image_size": ("img_size", "imgsz", "img", "image_size", "input_size", "size", "resolution", "crop_size"),
    "data.channels": ("in_channels", "num_channels", "in_chans"),
    "data.validation": ("val", "val_split", "validation_split", "val_fraction", "val_size", "valid"),
    "data.test": ("test_split", "test_size"),
    "data.workers": ("workers", "num_workers", "n_workers", "dataloader_num_workers"),
    "augment": ("aug", "augmentation", "augmentations", "transforms", "transform"),
    "batch_size": ("batch", "bs", "batchsize", "train_batch_size", "per_device_train_batch_size"),
    "eval_batch_size": ("test_batch_size", "val_batch_size", "validation_batch_size", "per_device_eval_batch_size"),
    "num_epochs": ("epochs", "epoch", "n_epochs", "max_epochs", "nb_epochs", "num_train_epochs"),
    "accumulate_steps": (
        "accum", "accum_iter", "grad_accum", "grad_accum_steps", "gradient_accumulation_steps",
        "accumulate_grad_batches",
    ),
    "precision": ("amp", "fp16", "bf16", "half", "dtype", "mixed_precision"),
    "ema_decay": ("ema", "model_ema", "model_ema_decay"),
    "swa_start": ("swa",),
    "patience": ("early_stopping", "early_stop", "early_stopping_patience"),
    "init_from": ("pretrained", "weights", "checkpoint", "finetune", "resume_from", "init_checkpoint"),
    "parallel.devices": ("devices", "device", "gpu", "gpus", "n_gpu", "num_gpus"),
    "eval_tta": ("tta",),
    "checkpoint.every": ("save_every", "save_freq", "save_steps", "checkpoint_freq"),
    "seed": ("random_seed", "manual_seed", "random_state"),
}  # fmt: skip
_MEANT = {other: key for key, others in _ALSO_CALLED.items() for other in others}
_CLOSE = 0.8


def meant_key(name: str, keys: Iterable[str], flags: Iterable[str] = ()) -> str | None:
    """The one of `keys` ("optimizer.learning_rate") that is meant by "lr", "epochs", "optimizer.lr", "Batch-Size"...

    Args:
      name: what is none of them.
      keys: in the order in which they are preferred.
      flags: "--workdir" and others that may be meant as well.

    Returns:
      A key, a flag, or None where nothing is close.
    """
    keys = list(keys)
    name = _plain(name)[:100]
    block, _, leaf = name.rpartition(".")
    alike = [key for key in keys if key.rpartition(".")[2].lower() == leaf]
    alike.sort(key=lambda key: not key.startswith(f"{block}."))  # its own block first
    known = [key for key in (_MEANT.get(name), _MEANT.get(leaf)) if key in keys]
    exact = [key for key in keys if key.lower() == name]
    begun = [flag for flag in flags if len(name) > 2 and _plain(flag).startswith(name)]
    if found := [*exact, *known[:1], *alike[:1], *begun]:
        return found[0]
    names = {other: key for other, key in _MEANT.items() if key in keys}
    names |= {key.rpartition(".")[2]: key for key in reversed(keys)} | {key: key for key in keys}
    names |= {_plain(flag): flag for flag in flags}
    close = difflib.get_close_matches(name, names, n=1, cutoff=_CLOSE)
    close = close or difflib.get_close_matches(leaf, names, n=1, cutoff=_CLOSE)
    return names[close[0]] if close else None


def did_you_mean_key(name: str, keys: Iterable[str]) -> str:
    """` (did you mean 'optimizer.learning_rate'?)` where one of the keys is meant, else nothing."""
    keys = list(keys)
    meant = meant_key(name, keys)
    return did_you_mean(name, keys) if meant is None else f" (did you mean '{meant}'?)"


def _plain(name: str) -> str:
    return name.strip("-").replace("-", "_").lower()
