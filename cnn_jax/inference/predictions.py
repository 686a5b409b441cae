"""What a model says of images: names of classes and their probabilities."""

import dataclasses
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import pandas


_LINE, _TABLE = 5, 20  # images that are shown


@dataclasses.dataclass(frozen=True, repr=False)
class Predictions:
    """Of N images. A notebook shows them as a table.

    Attributes:
      probabilities: float64 [N, K].
      class_names: K of them.
    """

    probabilities: np.ndarray
    class_names: tuple[str, ...]

    @property
    def indices(self) -> np.ndarray:
        """int64 [N]: the likeliest class of each image."""
        return self.probabilities.argmax(axis=1)

    @property
    def names(self) -> list[str]:
        """The likeliest class of each image."""
        return [self.class_names[k] for k in self.indices]

    def top(self, count: int = 3) -> list[list[tuple[str, float]]]:
        """The `count` likeliest classes of each image with their probabilities, the likeliest first."""
        order = np.argsort(-self.probabilities, axis=1, kind="stable")[:, :count]
        return [
            [(self.class_names[k], float(row[k])) for k in likeliest]
            for likeliest, row in zip(order, self.probabilities, strict=True)
        ]

    def to_dataframe(self) -> "pandas.DataFrame":
        """One row an image: `prediction`, `probability`, and a column for each class."""
        import pandas

        table = pandas.DataFrame(self.probabilities, columns=list(self.class_names))
        likeliest = {"prediction": self.names, "probability": self.probabilities.max(axis=1)}
        return pandas.concat([pandas.DataFrame(likeliest), table], axis=1)

    def __repr__(self) -> str:
        likeliest = [f"{name} ({probability:.1%})" for name, probability in self._first(_LINE)]
        more = ["..."] if len(self) > _LINE else []
        images = "1 image" if len(self) == 1 else f"{len(self):,} images"
        return f"<Predictions of {images}, {len(self.class_names):,} classes: {', '.join(likeliest + more)}>"

    def _repr_html_(self) -> str:
        """The three likeliest classes of the first images."""
        import pandas

        first = self._first(_TABLE)
        cells = [[f"{name} ({probability:.1%})" for name, probability in image] for image in first.top(3)]
        names = ("prediction", "second", "third")[: len(self.class_names)]
        table: str = pandas.DataFrame(cells, columns=list(names)).to_html(escape=True)
        return table if len(first) == len(self) else f"{table}<p>the first {len(first)} of {len(self):,} images</p>"

    def _first(self, count: int) -> "Predictions":
        return dataclasses.replace(self, probabilities=self.probabilities[:count])

    def __len__(self) -> int:
        return len(self.probabilities)

    def __iter__(self) -> Iterator[tuple[str, float]]:
        """(name, probability) of the likeliest class of each image."""
        return ((name, float(p)) for name, p in zip(self.names, self.probabilities.max(axis=1), strict=True))
