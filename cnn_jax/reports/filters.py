"""Classic filters on an image of the run, what lies beyond its borders, and the kernels that the network learned."""

from collections import Counter
from typing import Any

import numpy as np
from scipy.stats import binom

from cnn_jax.analysis.filters import FILTERS, PADDING_MODES, apply_filter, gaussian, gradient_magnitude
from cnn_jax.analysis.kernels import Match, first_kernels, frequency_response, match_classic
from cnn_jax.pictures.filters import Filtered, plot_borders, plot_filtered, plot_kernels
from cnn_jax.reports.section import Picture, Section, Table
from cnn_jax.reports.subject import Subject

_MOST_KERNELS = 64
_RESPONSE = 32
_WITHOUT_DIRECTION = ("mean", "Gaussian", "one pixel", "sharpen", "Laplacian")


def analyze(subject: Subject) -> Section:
    image = subject.sample.images[:1]
    classic, picture = _classic(subject, image)
    borders, of_borders = _borders(subject, image)
    subject.advance(0.5)
    figures = {"image": subject.sample.name(0), "filters": classic, "borders": borders}
    found = first_kernels(subject.variables, list(subject.layers))
    title = "Filters and edges"
    if found is None:
        subject.advance(0.5)
        said = f"This network ({subject.run.config.model.name}) has no convolution, and so no filters of its own."
        return Section(title, (said,), figures, pictures=(picture, of_borders))
    learned, table, drawn = _learned(subject, *found)
    subject.advance(0.5)
    lead = _sentences(learned)
    tables = () if table is None else (table,)
    return Section(title, lead, figures | {"kernels": learned}, tables, (drawn, picture, of_borders))


def _classic(subject: Subject, image: np.ndarray) -> tuple[list[dict[str, Any]], Picture]:
    """Filters that keep the brightness see all colors; others their mean."""
    gray = image.mean(-1, keepdims=True, dtype=np.float32)
    tiles, figures = [Filtered(f"the image, {subject.sample.name(0)[-30:]}", None, image[0], False)], []
    for name, make in FILTERS.items():
        kernel = make()
        total = float(kernel.sum(dtype=np.float64))
        is_signed = abs(total - 1) > 1e-3
        made = np.asarray(apply_filter(gray if is_signed else image, kernel, "extend"))[0]
        tiles.append(Filtered(name, kernel, made, is_signed))
        figures.append({
            "filter": name, "size": list(kernel.shape), "sum": round(total, 6), "lowest": float(made.min()),
            "highest": float(made.max()),
        })  # fmt: skip
    edges = np.asarray(gradient_magnitude(gray, padding_mode="extend"))[0]
    shown = 255 * edges / max(float(edges.max()), 1e-6)
    tiles.append(Filtered("Sobel, both: strength of edges", None, shown, False))
    figures.append({"filter": "Sobel magnitude", "lowest": float(edges.min()), "highest": float(edges.max())})
    return figures, Picture(
        plot_filtered(tiles, "Classic filters: the kernel, and what it makes of the image", subject.picture("filters")),
        "Classic filters",
        "Each kernel with what it makes of the image. Red is above 0, blue below: a derivative is red where the image "
        "gets brighter in its direction, and white where nothing changes. Gaussian, sharpen and emboss keep the mean "
        "brightness, so that their results are images; what leaves 0 to 255 is cut off. The borders are extended.",
    )


def _borders(subject: Subject, image: np.ndarray) -> tuple[dict[str, Any], Picture]:
    sigma = min(image.shape[1:3]) / 16
    kernel = gaussian(sigma)
    line = kernel.sum(0)  # a Gaussian is one down and one across, which is much less to compute
    tiles = [("the image", image[0])]
    for mode in PADDING_MODES:
        if mode != "same" and not (mode == "crop" and len(kernel) > min(image.shape[1:3])):
            across = apply_filter(image, line[None], mode)
            tiles.append((mode, np.asarray(apply_filter(across, line[:, None], mode))[0]))
    figures = {
        "sigma": sigma, "kernel": len(kernel),
        "sizes": {name: list(made.shape[:2]) for name, made in tiles},
        "mean_at_border": {name: _border_mean(made) for name, made in tiles},
    }  # fmt: skip
    return figures, Picture(
        plot_borders(
            tiles, f"One blur (sigma {sigma:g} pixels), five ways to handle edges", subject.picture("filters_borders")
        ),
        "Edge handling",
        "What stands beyond the border counts: zero darkens it, extend repeats the border pixel, reflect mirrors the "
        "image, wrap takes the opposite side, and crop leaves out what would need pixels from beyond.",
    )


def _border_mean(image: np.ndarray) -> float:
    inside = np.zeros(image.shape[:2], bool)
    inside[1:-1, 1:-1] = True
    return float(image[~inside].mean())


def _learned(subject: Subject, layer: str, kernels: np.ndarray) -> tuple[dict[str, Any], Table | None, Picture]:
    lengths = np.linalg.norm(kernels.reshape(-1, kernels.shape[-1]), axis=0)
    responses = frequency_response(kernels, max(_RESPONSE, *kernels.shape[:2]))
    match = match_classic(kernels, subject.seed)
    peaks = [_peak(responses[..., number]) for number in range(len(lengths))]
    figures: dict[str, Any] = {
        "layer": layer, "shape": list(kernels.shape),
        "each": [{"kernel": number, "length": float(lengths[number]), "peak_waves_per_pixel": peaks[number]}
                 for number in range(len(lengths))],
    }  # fmt: skip
    if match is not None:
        _add_matches(figures, match)
    shown = np.argsort(-lengths, kind="stable")[:_MOST_KERNELS]
    headings = [_heading(figures["each"][number]) for number in shown]
    largest = "" if len(shown) == len(lengths) else f"the {len(shown)} largest of "
    height, width, channels, count = kernels.shape
    title = f"{layer}: {largest}{count} kernels of {height}x{width}x{channels}, each with its frequency response"
    file = plot_kernels(kernels[..., shown], responses[..., shown], headings, title, subject.picture("filters_learned"))
    colors = "as colors around gray" if channels == 3 else "red above 0, blue below"
    reading = (
        f"Left each kernel ({colors}, to its own scale), right which waves pass: bright passes, the middle is the "
        "mean, and the rim the finest pattern. A pair of bright spots passes waves of one direction, as a filter for "
        "edges or bars does; a bright middle smooths; a dark middle with a bright rim keeps detail."
    )
    if match is not None:
        reading += (
            " Above it its number, the closest classic filter with its direction in degrees (0 to the right, 90 down), "
            "and the absolute cosine of the angle between them; gray where random kernels come as near "
            f"(95 % of them stay below {match.by_chance:.2f})."
        )
    return figures, _table(figures) if match is not None else None, Picture(file, "Learned kernels", reading)


def _add_matches(figures: dict[str, Any], match: Match) -> None:
    close = match.is_close
    for each, name, similarity, is_close in zip(figures["each"], match.names, match.similarities, close, strict=True):
        each |= {
            "closest": name, "similarity": None if name is None else float(similarity), "close": bool(is_close)
        }  # fmt: skip
    count = len(close)
    figures["similarity_by_chance"] = match.by_chance
    figures["close"], figures["close_by_chance"] = int(close.sum()), 0.05 * count
    # How often so many or more of random kernels would be.
    figures["p_value"] = float(binom.sf(int(close.sum()) - 1, count, 0.05))


def _sentences(figures: dict[str, Any]) -> tuple[str, ...]:
    count, layer = len(figures["each"]), figures["layer"]
    if "close" not in figures:
        return (f"The kernels of {layer}, the first convolution, see one pixel: they mix colors and have no shape.",)
    close, chance = figures["close"], figures["close_by_chance"]
    bound = figures["similarity_by_chance"]
    said = (
        f"Of the {count} kernels of {layer}, the first convolution, {close} {'is' if close == 1 else 'are'} closer to "
        f"a classic filter than 95 % of random kernels are (similarity above {bound:.2f}); by chance it would be "
        f"{chance:.1f}."
    )
    if figures["p_value"] >= 0.05:
        return said, "That may be chance: no kernel is shown to be a classic filter."
    best = max((each for each in figures["each"] if each["close"]), key=lambda each: each["similarity"])
    return said, f"The closest is kernel {best['kernel']}: {best['closest']}, {best['similarity']:.2f}."


def _table(figures: dict[str, Any]) -> Table:
    close = [each for each in figures["each"] if each["close"]]
    counts = Counter(_kind(each["closest"]) for each in close)
    rows: tuple[tuple[Any, ...], ...] = tuple(
        (kind, count, float(np.mean([each["similarity"] for each in close if _kind(each["closest"]) == kind])))
        for kind, count in counts.most_common()
    )
    rows += (("none is close", len(figures["each"]) - len(close), None),)
    figures["kinds"] = [dict(zip(("kind", "kernels", "similarity"), row, strict=True)) for row in rows]
    return Table(
        "Kinds of learned kernels", ("closest filter", "kernels", "mean similarity"), rows,
        "Only kernels that are closer than chance are counted for a filter. Sobel, Scharr and Prewitt of one direction "
        "resemble each other: one may stand for another.",
    )  # fmt: skip


def _kind(name: str) -> str:
    """Without direction and number of waves."""
    return name if name in _WITHOUT_DIRECTION else name.split(",")[0] if "," in name else name.rsplit(" ", 1)[0]


def _heading(each: dict[str, Any]) -> tuple[str, bool]:
    number = each["kernel"]
    if "closest" not in each:
        return f"{number}", False
    if each["closest"] is None:
        return f"{number}: all zeros", False
    return f"{number}: {each['closest']} {each['similarity']:.2f}", each["close"]


def _peak(response: np.ndarray) -> float:
    """Where it is largest, in waves per pixel."""
    size = len(response)
    row, column = np.unravel_index(response.argmax(), response.shape)
    return float(np.hypot(row - size // 2, column - size // 2) / size)
