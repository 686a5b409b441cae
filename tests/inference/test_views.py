"""Test-time augmentation, the picture of the augmentations, their costs, and the commands for all three."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from cnn_jax.config.keys import AUGMENTATIONS
from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import fit
from cnn_jax.inference.evaluation import assess, load_split, measure
from cnn_jax.inference.run import load_run
from cnn_jax.inference.tta import with_tta
from cnn_jax.pictures import augment_grid as gallery
from tests.support.helpers import read_json, script, tiny_config


def flat(variables: Any, images: Any) -> Any:
    """A model whose logits are the pixels themselves."""
    return images.reshape(len(images), -1).astype(jnp.float32)


@pytest.mark.parametrize("names", [(), ("flip",), ("translate",), ("flip", "translate")])
def test_views_are_airbenchs(names: tuple[str, ...]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), np.uint8)
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="reflect")
    expected = 1.0 * images
    if "translate" in names:
        expected = 0.5 * images + 0.25 * padded[:, :5, :4] + 0.25 * padded[:, 2:, 2:]
    if "flip" in names:
        expected = (expected + expected[:, :, ::-1]) / 2
    ours = np.asarray(with_tta(flat, names)(None, jnp.asarray(images)))
    np.testing.assert_allclose(ours, expected.reshape(2, -1), atol=1e-4)


def test_evaluate_reports_the_views_beside_the_plain_figures(trained: Path) -> None:
    plain = assess(trained).figures
    result = script("evaluate.py", f"--workdir={trained}", "--tta=flip,translate")
    assert result.returncode == 0, result.stderr
    saved = read_json(trained / "evaluation.json")
    assert {key: value for key, value in saved.items() if key != "tta"} == plain
    assert saved["tta"]["views"] == ["flip", "translate"]
    run = load_run(trained)
    examples = load_split(run, "test")
    logits = np.asarray(with_tta(run.apply, ("flip", "translate"))(run.variables, jnp.asarray(examples.images)))
    assert saved["tta"]["accuracy"] == pytest.approx((logits.argmax(1) == examples.labels).mean(), abs=0.01)
    assert f"with views (flip, translate) {saved['tta']['accuracy']:.2%}" in result.stdout.splitlines()[-1]
    assert f"test accuracy {plain['accuracy']:.2%}" in result.stdout
    assess(trained)  # leaves the folder as it was


def test_eval_tta_is_part_of_a_run(tmp_path: Path) -> None:
    """The run's own test, evaluate.py and predict.py see the same views; --tta replaces them."""
    summary = fit(tiny_config(num_epochs=1, model__filters=(4,), eval_tta="flip_translate"), tmp_path / "run")
    run = load_run(tmp_path / "run")
    examples = load_split(run, "test")
    images = jnp.asarray(examples.images)
    plain = run.with_tta(())
    expected = np.asarray(with_tta(plain.apply, ("flip", "translate"))(run.variables, images))
    np.testing.assert_allclose(run.logits(examples), expected, atol=1e-4)
    assert not np.allclose(plain.logits(examples), expected, atol=1e-2)
    figures = assess(tmp_path / "run", tta=("flip", "translate")).figures
    assert figures["loss"] == pytest.approx(summary["test_loss"], rel=1e-5)
    assert figures["tta"]["loss"] == figures["loss"]
    assert figures["loss"] != pytest.approx(measure(plain.logits(examples), examples.labels, run.class_names)["loss"])


def test_an_unknown_view_is_said(trained: Path) -> None:
    with pytest.raises(InputError, match="--tta=rotate: there is no view 'rotate'; there are flip, translate"):
        assess(trained, tta=("rotate",))


def test_the_gallery_has_every_operation() -> None:
    assert list(gallery.STRENGTHS) == list(AUGMENTATIONS)
    for name, strengths in gallery.STRENGTHS.items():
        for strength in strengths:
            assert AUGMENTATIONS[name].rule(strength) == strength


def test_the_gallery_is_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = ("rotate", "cutout", "hue", "alternating_flip")
    monkeypatch.setattr(gallery, "STRENGTHS", {name: gallery.STRENGTHS[name] for name in chosen})
    monkeypatch.setattr(gallery, "AUGMENTATIONS", {name: AUGMENTATIONS[name] for name in (*chosen, "blur")})
    rows: list[Any] = []
    original = gallery.reports.plot_gallery

    def spy(title: str, drawn: Any, path: Path) -> Path:
        rows.extend(drawn)
        return original(title, drawn, path)

    monkeypatch.setattr(gallery.reports, "plot_gallery", spy)
    path = gallery.draw_gallery(tiny_config(), tmp_path / "new" / "gallery.png", every=True)
    with Image.open(path) as picture:
        assert min(picture.size) > 500
    headings = {label: [heading for heading, _ in groups] for label, groups in rows}
    assert headings["rotate"] == ["", "5", "15", "45", "180"]
    assert headings["cutout"] == ["", "2", "4"]  # 8 is too much for 8x8 images
    assert headings["hue\n(gray: no change)"] == [""]
    assert headings["blur"] == ["", "1"], "of an operation without strengths here, the usual one"
    assert headings["alternating_flip"] == ["", "even epochs", "odd epochs"]
    first = rows[0][1]
    assert first[1][1].shape == (15, 8, 8, 1)
    assert len(np.unique(first[1][1], axis=0)) > 4  # several draws of one image
    with pytest.raises(InputError, match="cannot be written"):
        gallery.draw_gallery(tiny_config(), tmp_path / "gallery.nothing", every=True)

    rows.clear()
    own = (("rotate", 20.0), ("cutout", 2), ("rotate", 5.0))
    gallery.draw_gallery(tiny_config(augment=own), tmp_path / "own.png")
    assert [label for label, _ in rows if label not in ("", "as configured")] == ["rotate", "cutout"]
    with pytest.raises(InputError, match="it has no operation to draw; --all draws every one"):
        gallery.draw_gallery(tiny_config(augment=()), tmp_path / "none.png")
