"""A run directory as something that can be applied: what evaluate, predict, export and serving share."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from cnn_jax.cli.programs import as_started
from cnn_jax.config.rules import integer, size
from cnn_jax.config.tree import from_json
from cnn_jax.data.feeding.batches import padded_batches
from cnn_jax.data.normalize import Normalization, normalize
from cnn_jax.data.reading.as_uint8 import range_of
from cnn_jax.data.reading.image_dataset import ImageDataset
from cnn_jax.data.reading.images import Decoded
from cnn_jax.data.splits import Examples, Split
from cnn_jax.errors import InputError, reason_of, shown
from cnn_jax.inference.inputs import check_images, label_numbers, read_file_as, read_inputs
from cnn_jax.inference.metrics import measure, softmax
from cnn_jax.inference.predictions import Predictions
from cnn_jax.inference.tta import EVAL_TTA, with_tta
from cnn_jax.models import Classifier, make_model
from cnn_jax.runs.checkpoints import open_checkpoints
from cnn_jax.runs.directory import has_folder, read_run_file
from cnn_jax.runs.metrics_file import read_rows
from cnn_jax.runtime.compilation import keep_programs

if TYPE_CHECKING:
    import pandas

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


@dataclasses.dataclass(frozen=True, repr=False)
class Run:
    """A trained model with all that it takes to use it on a new image.

    Attributes:
      image_shape: (height, width, channels) of what the model takes.
      variables: {"params", "batch_stats"}: its best weights.
      resolved: what its data were.
      workdir: the run directory.
    """

    config: ml_collections.ConfigDict
    image_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    normalization: Normalization
    variables: Any
    apply: Apply
    resolved: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    workdir: Path | None = None

    def __repr__(self) -> str:
        height, width, channels = self.image_shape
        where = shown(str(self.workdir or "in memory"))
        images = f"images of {height}x{width}x{channels}"
        return f"<Run {where}: {self.config.model.name}, {images}, {len(self.class_names):,} classes>"

    def predict(self, images: Any) -> Predictions:
        """The classes of images.

        Args:
          images: files (paths, or their bytes), PIL images or arrays, one or a list of them; see `inputs.read_inputs`.

        Raises:
          InputError: an image cannot be read, or an array is not of a form that this model takes.
        """
        logits = self.logits(read_inputs(images, self.image_shape, self.config.data))
        return Predictions(softmax(logits), self.class_names)

    def evaluate(self, images: Any, labels: Any) -> dict[str, Any]:
        """All figures of an evaluation, as `evaluation.json` has them: accuracy, its 95 % interval, loss, per class.

        Args:
          images: as for `predict`.
          labels: [N], 0..K-1 or names of classes.
        """
        read = read_inputs(images, self.image_shape, self.config.data)
        numbers = label_numbers(labels, self.class_names, len(read))
        return measure(self.logits(read), numbers, self.class_names)

    @property
    def history(self) -> "pandas.DataFrame":
        """One row for each epoch and split: step, epoch, split, loss, accuracy and what else was logged."""
        import pandas

        return pandas.DataFrame(read_rows(self._workdir / "metrics.jsonl"))

    @property
    def summary(self) -> dict[str, Any]:
        """The figures of a finished run; raises InputError where it is not finished."""
        return read_run_file(self._workdir, "summary.json")

    @property
    def _workdir(self) -> Path:
        if self.workdir is None:
            raise InputError("this run was made in memory: it has no directory")
        return self.workdir

    def with_tta(self, views: Sequence[str]) -> "Run":
        """The same with these views of each image in place of the config's `eval_tta`."""
        model = make_model(self.config.model, len(self.class_names), self.config.precision)
        return dataclasses.replace(self, apply=make_apply(model, self.normalization, views))

    @functools.cached_property
    def compiled(self) -> Apply:
        return jax.jit(self.apply)

    def read(self, path: str | Path) -> np.ndarray:
        """The image in a file as this model takes it: uint8 [H, W, C]. Raises InputError where it cannot be read."""
        return self.decode(path).image

    def decode(self, path: str | Path) -> Decoded:
        """As `read`, with what share of its range the picture uses."""
        return read_file_as(path, self.image_shape, self.config.data)

    @functools.cached_property
    def compiled_embed(self) -> Apply:
        model = make_model(self.config.model, len(self.class_names), self.config.precision)

        def embed(variables: Any, images: jax.Array) -> jax.Array:
            inputs = normalize(images, self.normalization, model.compute.param_dtype)
            features: jax.Array = model.apply(variables, inputs, method="embed")  # type: ignore[assignment]
            return features

        return jax.jit(embed)

    def logits(self, images: np.ndarray | Split, on_batch: Callable[[int], Any] = lambda count: None) -> np.ndarray:
        """float32 [N, K]; `on_batch` is told how many are done.

        Args:
          images: [N, H, W, C] of the model's shape, uint8 or numbers from `data.black` to `data.white`; or a split.

        Raises:
          InputError: an array of another shape or type, or with values beyond the range.
        """
        return self._in_batches(self.compiled, images, on_batch)

    def embed(self, images: np.ndarray | Split, on_batch: Callable[[int], Any] = lambda count: None) -> np.ndarray:
        """The feature vectors that the head sees, float32 [N, D]; the arguments are those of `logits`."""
        return self._in_batches(self.compiled_embed, images, on_batch)

    def _in_batches(self, apply: Apply, images: np.ndarray | Split, on_batch: Callable[[int], Any]) -> np.ndarray:
        if isinstance(images, Examples | ImageDataset):
            split: Split = images
        else:
            checked = check_images(images, self.image_shape, range_of(self.config.data))
            split = Examples(checked, np.zeros(len(checked), np.int32))
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
        raise InputError(
            f"{workdir / 'config.json'}: it is damaged ({reason_of(error)}); restore it, or train again"
        ) from error
    keep_programs()
    like = {"params": like["params"], "batch_stats": like.get("batch_stats", {})}
    if not has_folder(workdir):
        train = as_started("cnn_jax train")
        raise InputError(f"{workdir}: nothing has been trained here yet; run {train} with this --workdir")
    with open_checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        best = checkpoints.restore_best(like)
    if best is None:
        raise InputError(f"{workdir}: no epoch has been finished here yet; go on training first")
    if jax.tree.map(jnp.shape, best.variables) != jax.tree.map(jnp.shape, like):
        raise InputError(
            f"{workdir}: its checkpoint and its config.json are of different models; restore the right one"
        )
    apply = make_apply(model, normalization, EVAL_TTA[config.eval_tta])
    return Run(config, image_shape, class_names, normalization, best.variables, apply, resolved, workdir)
