"""A run directory as something that can be applied: what evaluate, predict, export and serving share."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from cnn_jax.config.rules import integer, size
from cnn_jax.config.tree import from_json
from cnn_jax.data.feeding.batches import padded_batches
from cnn_jax.data.normalize import Normalization, normalize
from cnn_jax.data.reading.images import decode, quiet, read_file
from cnn_jax.data.reading.levels import Levels
from cnn_jax.data.splits import Examples, Split
from cnn_jax.errors import InputError, shown
from cnn_jax.inference.tta import EVAL_TTA, with_tta
from cnn_jax.models import Classifier, make_model
from cnn_jax.runs.checkpoints import open_checkpoints
from cnn_jax.runs.directory import read_run_file
from cnn_jax.runtime.compilation import keep_programs

Apply = Callable[[Any, jax.Array], jax.Array]


def make_apply(model: Classifier, normalization: Normalization, views: Sequence[str] = ()) -> Apply:
    """(variables, uint8 images [B, H, W, C]) -> logits [B, K], in evaluation mode, averaged over `with_tta`' views.

    Pure; not compiled.
    """

    def apply(variables: Any, images: jax.Array) -> jax.Array:
        inputs = normalize(images, normalization, model.compute.param_dtype)
        logits: jax.Array = model.apply(variables, inputs, train=False)  # type: ignore[assignment]
        return logits

    return with_tta(apply, views)


@dataclasses.dataclass(frozen=True)
class Run:
    """A trained model with all that it takes to use it on a new image; `resolved` is what its data were."""

    config: ml_collections.ConfigDict
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    normalization: Normalization
    variables: Any
    apply: Apply
    resolved: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def with_tta(self, views: Sequence[str]) -> "Run":
        """The same with these views of each image in place of the config's `eval_tta`."""
        model = make_model(self.config.model, len(self.class_names), self.config.precision)
        return dataclasses.replace(self, apply=make_apply(model, self.normalization, views))

    @functools.cached_property
    def compiled(self) -> Apply:
        return jax.jit(self.apply)

    def read(self, path: str | Path) -> np.ndarray:
        """The image in a file as this model takes it: uint8 [H, W, C]. Raises InputError where it cannot be read."""
        data = self.config.data
        levels = Levels(data.black, data.white)
        with quiet():
            return decode(
                read_file(path), shown(str(path)), self.image_shape, data.resize, data.center_crop, levels=levels
            )

    @functools.cached_property
    def compiled_embed(self) -> Apply:
        model = make_model(self.config.model, len(self.class_names), self.config.precision)

        def embed(variables: Any, images: jax.Array) -> jax.Array:
            inputs = normalize(images, self.normalization, model.compute.param_dtype)
            features: jax.Array = model.apply(variables, inputs, method="embed")  # type: ignore[assignment]
            return features

        return jax.jit(embed)

    def logits(self, images: np.ndarray | Split, on_batch: Callable[[int], Any] = lambda count: None) -> np.ndarray:
        """float32 [N, K] for images uint8 [N, H, W, C] or a split of data; `on_batch` is told how many are done."""
        return self._in_batches(self.compiled, images, on_batch)

    def embed(self, images: np.ndarray | Split) -> np.ndarray:
        """The feature vectors that the head sees, float32 [N, D], for images uint8 [N, H, W, C] or a split of data."""
        return self._in_batches(self.compiled_embed, images, lambda count: None)

    def _in_batches(self, apply: Apply, images: np.ndarray | Split, on_batch: Callable[[int], Any]) -> np.ndarray:
        split = Examples(images, np.zeros(len(images), np.int32)) if isinstance(images, np.ndarray) else images
        outputs = []
        for batch in padded_batches(split, min(self.config.eval_batch_size, len(split))):
            output = apply(self.variables, jnp.asarray(batch["image"]))
            outputs.append(np.asarray(output)[batch["mask"]])
            on_batch(len(outputs[-1]))
        return np.concatenate(outputs)


def load_run(workdir: str | Path) -> Run:
    """The best weights of a run directory (the last, where there is no validation split), or its averages of weights.

    Raises:
      InputError: this is no run directory, or nothing has been saved in it yet.
    """
    workdir = Path(workdir)
    saved = read_run_file(workdir, "config.json")
    try:
        resolved = saved.pop("resolved")
        image_shape = (*size()(resolved["image_shape"][:2]), integer(1, 3)(resolved["image_shape"][2]))
        names = resolved["class_names"]
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise ValueError("its class_names are no list of texts")
        class_names = tuple(map(shown, names))
        normalization = Normalization.from_json(resolved["normalization"])
        if not len(normalization.mean) == len(normalization.std) == image_shape[2]:
            raise ValueError("its normalization has another number of channels than its images")
        config = from_json(saved)
        model = make_model(config.model, len(class_names), config.precision)
        like = jax.eval_shape(lambda: model.init(jax.random.key(0), jnp.zeros((1, *image_shape))))
    except InputError:
        raise
    except Exception as error:  # whatever sizes that no model can have make Flax raise
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{workdir / 'config.json'}: it is damaged ({reason}); restore it, or train again") from error
    keep_programs()
    like = {"params": like["params"], "batch_stats": like.get("batch_stats", {})}
    if not (workdir / "checkpoints").is_dir():
        raise InputError(f"{workdir}: nothing has been trained here yet; run scripts/train.py with this --workdir")
    with open_checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        best = checkpoints.restore_best(like)
    if best is None:
        raise InputError(f"{workdir}: no epoch has been finished here yet; go on training first")
    if jax.tree.map(jnp.shape, best.variables) != jax.tree.map(jnp.shape, like):
        raise InputError(
            f"{workdir}: its checkpoint and its config.json are of different models; restore the right one"
        )
    apply = make_apply(model, normalization, EVAL_TTA[config.eval_tta])
    return Run(config, image_shape, class_names, normalization, best.variables, apply, resolved)


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities [N, K] in float64."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)
