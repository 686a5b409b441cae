"""What a stranger may hand over runs none of their code, writes nowhere else, and ends in one line."""

import ast
import csv
import hashlib
import io
import json
import pickle
import shutil
import sys
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cnn_jax import data
from cnn_jax.config.tree import from_json
from cnn_jax.data.reading import cache
from cnn_jax.data.reading.images import read_image
from cnn_jax.errors import InputError
from cnn_jax.experiment.fitting import fit
from cnn_jax.inference.evaluation import assess
from cnn_jax.inference.prediction import Prediction, table_row
from cnn_jax.inference.run import load_run
from cnn_jax.runtime.folders import cache_folder
from tests.support.helpers import ROOT, data_settings, read_json, script, tiny_config

EVIL = "__import__('os').system('touch {ran}')"


class Payload:
    """Its pickle creates a file when it is loaded."""

    def __init__(self, ran: Path):
        self.ran = ran

    def __reduce__(self) -> Any:
        return Path.touch, (self.ran,)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    """The file that planted code would create."""
    return tmp_path / "ran"


def objects(ran: Path, *shape: int) -> np.ndarray:
    array = np.empty(shape, object)
    array.fill(Payload(ran))
    return array


def line_of(call: Any, *arguments: Any, **settings: Any) -> str:
    """The one line with which a call refuses."""
    with pytest.raises(InputError) as caught:
        call(*arguments, **settings)
    line = str(caught.value)
    assert "\n" not in line.strip()
    assert len(line) < 1000
    return line


def test_the_payload_would_run(ran: Path) -> None:
    pickle.loads(pickle.dumps(Payload(ran)))
    assert ran.exists()


# Arrays.


@pytest.mark.parametrize("where", ["image", "label", "split", "class_names"])
def test_python_objects_in_an_archive(tmp_path: Path, ran: Path, where: str) -> None:
    arrays: dict[str, Any] = {"image": np.zeros((4, 8, 8), np.uint8), "label": np.array([0, 1, 0, 1])}
    arrays[where] = objects(ran, 4)
    np.savez(tmp_path / "set.npz", allow_pickle=True, **arrays)
    line_of(data.load, data_settings(source="npz", dir=str(tmp_path / "set.npz"), validation=0, test=0))
    assert not ran.exists()


@pytest.mark.parametrize("kind", ["pickle", "npy"])
def test_a_pickle_that_is_called_an_archive(tmp_path: Path, ran: Path, kind: str) -> None:
    path = tmp_path / "set.npz"
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Payload(ran)))
    else:
        with open(path, "wb") as file:
            np.save(file, objects(ran, 1), allow_pickle=True)
    line_of(data.load, data_settings(source="npz", dir=str(path)))
    assert not ran.exists()


def header(dtype: str, shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue()


BOMBS: dict[str, tuple[dict[str, bytes], str]] = {
    "labels of 300 MB": ({"label": header("<U100000", (800,)) + bytes(300_000_000)}, "too many for 800 images"),
    "images that are followed by 100 MB": (
        {"image": header("|u1", (800, 2, 2)) + bytes(800 * 4 + 100_000_000)}, "followed by something else"
    ),
    "images of a petabyte": ({"image": header("|u1", (10**9, 1000, 1000)) + bytes(1000)}, "cut off"),
    "labels of a petabyte": ({"label": header("<i8", (10**14,)) + bytes(1000)}, "npz"),
    "code in a header": ({"label": header("|u1", (800,)).replace(b"False", b"open(")}, "not a whole .npz archive"),
}  # fmt: skip


@pytest.mark.parametrize("what", BOMBS)
def test_archives_that_unpack_to_too_much(tmp_path: Path, what: str) -> None:
    members, words = BOMBS[what]
    members = {"image": header("|u1", (800, 2, 2)) + bytes(3200), "label": header("|u1", (800,)) + bytes(800)} | members
    with zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)
    assert (tmp_path / "bomb.npz").stat().st_size < 1_000_000
    assert words in line_of(data.load, data_settings(source="npz", dir=str(tmp_path / "bomb.npz")))


def test_an_archive_for_which_the_disk_has_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.savez(tmp_path / "set.npz", image=np.zeros((20, 99, 99), np.uint8), label=np.arange(20) % 2)
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    assert "has 100,000 left" in line_of(data.load, data_settings(source="npz", dir=str(tmp_path / "set.npz")))


def test_python_objects_in_the_cache(tmp_path: Path, ran: Path) -> None:
    """With everything else about the entries as it should be."""
    good = cache.array("hostile", lambda: np.arange(3))
    folder = cache.entry("hostile", lambda folder: None)
    np.save(folder / "array.npy", objects(ran, 3), allow_pickle=True)
    content = (folder / "array.npy").read_bytes()
    entry = {"key": "hostile", "files": {"array.npy": [len(content), zlib.crc32(content)]}}
    (folder / "entry.json").write_text(json.dumps(entry))
    assert np.array_equal(cache.array("hostile", lambda: np.arange(3)), good)
    cache.remember("hostile", np.zeros((2, 3), np.uint64))
    (states,) = (cache_folder() / "states").glob("hostile*.npy")
    np.save(states, objects(ran, 2, 3), allow_pickle=True)
    assert cache.recall("hostile") is None
    assert not ran.exists()


# Run directories.


@pytest.fixture
def handed_over(trained: Path, tmp_path: Path) -> Path:
    """A copy of a good run directory, to be spoilt."""
    return Path(shutil.copytree(trained, tmp_path / "handed_over"))


def rewrite(workdir: Path, *keys: str, value: Any) -> None:
    config = read_json(workdir / "config.json")
    block = config
    for key in keys[:-1]:
        block = block[key]
    block[keys[-1]] = value
    (workdir / "config.json").write_text(json.dumps(config))


HUGE = 10**9
CONFIGS: dict[str, tuple[tuple[str, ...], Any]] = {
    "code for a name": (("model", "name"), EVIL),
    "code for a number": (("optimizer", "learning_rate"), EVIL),
    "code for a tuple": (("model", "filters"), EVIL),
    "a YAML tag": (("model", "hidden"), "!!python/object/apply:os.system ['touch ran']"),
    "a reference": (("model", "filters"), {"py/object": "ml_collections.FieldReference", "_ops": EVIL}),
    "an unknown key": (("model", "__class__"), EVIL),
    "a long text": (("model", "activation"), "relu" * 10_000_000),
    "a network of many layers": (("model", "hidden"), [HUGE] * 3),
    "a network of huge layers": (("model", "filters"), [HUGE, HUGE]),
    "infinity": (("model", "dropout"), float("inf")),
    "huge images": (("resolved", "image_shape"), [10**12, 10**12, 3]),
    "images of text": (("resolved", "image_shape"), EVIL),
    "names that are no texts": (("resolved", "class_names"), [{"a": EVIL}] * 10),
    "names that are one text": (("resolved", "class_names"), EVIL),
    "statistics that are text": (("resolved", "normalization", "mean"), [EVIL]),
    "too many statistics": (("resolved", "normalization", "mean"), [0.5] * 1000),
    "no block": (("resolved",), [EVIL]),
}


@pytest.mark.parametrize("what", CONFIGS)
def test_hostile_values_in_a_config(handed_over: Path, ran: Path, what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ran.parent)
    keys, value = CONFIGS[what]
    text = json.dumps(value).replace("{ran}", str(ran))
    rewrite(handed_over, *keys, value=json.loads(text))
    line_of(load_run, handed_over)
    assert not ran.exists()


@pytest.mark.parametrize("depth", [500, 100_000])
def test_a_config_of_endless_depth(handed_over: Path, depth: int) -> None:
    config = (handed_over / "config.json").read_text().rstrip().removesuffix("}")
    (handed_over / "config.json").write_text(config + ', "seed": ' + '{"a": ' * depth + "1" + "}" * depth + "}")
    assert "config" in line_of(load_run, handed_over)


def test_a_config_that_is_nested_deeper_than_python_goes() -> None:
    tree: dict[str, Any] = {}
    for _ in range(10_000):
        tree = {"seed": tree}
    assert "nested too deeply" in line_of(from_json, tree)


def fingerprint(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


def test_code_that_lies_in_a_run_directory(handed_over: Path, ran: Path, photographs: list[Path]) -> None:
    """Modules that Python or libraries look for, pickles, links: none of them is touched."""
    code = f"open({str(ran)!r}, 'w')\n"
    names = ("sitecustomize.py", "usercustomize.py", "jax.py", "numpy.py", "conftest.py", "__init__.py", "config.py")
    folders = [handed_over, handed_over / "checkpoints", *(handed_over / "checkpoints").glob("*/state")]
    for folder in folders:
        for name in names:
            (folder / name).write_text(code)
        for name in ("checkpoint.pkl", "aggregate.pkl", "model.pickle"):
            (folder / name).write_bytes(pickle.dumps(Payload(ran)))
    result = script("evaluate.py", f"--workdir={handed_over}")
    assert result.returncode == 0, result.stderr
    predicted = script("predict.py", f"--workdir={handed_over}", photographs[0])
    assert predicted.returncode == 0, predicted.stderr
    assert not ran.exists()


def test_pickles_in_place_of_a_checkpoint(handed_over: Path, ran: Path) -> None:
    for path in (handed_over / "checkpoints").rglob("*"):
        if path.is_file():
            path.write_bytes(pickle.dumps(Payload(ran)))
    line_of(load_run, handed_over)
    assert not ran.exists()


def test_links_in_place_of_checkpoints(handed_over: Path, tmp_path: Path) -> None:
    """A run that goes on deletes old checkpoints of its own, and nothing that a link leads to."""
    victim = tmp_path / "victim"
    (victim / "documents").mkdir(parents=True)
    (victim / "documents/letter.txt").write_text("dear")
    before = fingerprint(victim)
    for step in (1, 2, 3):
        (handed_over / "checkpoints" / str(step)).symlink_to(victim)
    (handed_over / "plots/curves.png").unlink()
    with pytest.raises(InputError, match=r"checkpoints/\d: this is a symbolic link"):
        fit(tiny_config(num_epochs=5), handed_over)
    assert fingerprint(victim) == before


# Manifests.


def photo(path: Path, value: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (9, 9), (value, 40, 90)).save(path)
    return path


def manifest(tmp_path: Path, rows: list[tuple[str, str]]) -> Any:
    good = [(str(photo(tmp_path / f"in/{i}.png", i)), "ab"[i % 2]) for i in range(6)]
    with open(tmp_path / "in/set.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *good, *rows])
    return data_settings(source="csv", dir=str(tmp_path / "in/set.csv"), image_size=8, validation=0, test=0)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/etc/passwd", "not an image"),
        ("../../../../../../../../etc/passwd", "not an image"),
        ("/dev/zero", "not a regular file"),
        ("/proc/self/environ", "not an image|is empty"),
        ("/etc", "this is a folder"),
        ("https://example.org/a.png", "no such file"),
        ("$(touch ran)", "no such file"),
        ("a\0.png", "zero byte|line contains NUL"),
    ],
)
def test_paths_in_a_manifest(
    tmp_path: Path, path: str, words: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may lead anywhere: what is there is read as a picture, or refused."""
    monkeypatch.chdir(tmp_path)
    line = line_of(data.load, manifest(tmp_path, [(path, "a")]))
    assert any(word in line + capsys.readouterr().err for word in words.split("|"))
    assert not (tmp_path / "ran").exists()


def test_a_link_in_place_of_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = manifest(tmp_path, [("link.png", "a")])
    (tmp_path / "in/link.png").symlink_to("/etc/passwd")
    line_of(data.load, config)
    assert "link.png: this is not an image" in capsys.readouterr().err


# Datasets of TFDS.


def dataset(tmp_path: Path, tfds_data: str) -> Path:
    """MNIST's descriptions, without its records: they are read first."""
    (original,) = (Path(tfds_data) / "mnist").glob("*")
    folder = tmp_path / "tfds/mnist" / original.name
    folder.mkdir(parents=True)
    for name in ("features.json", "dataset_info.json"):
        shutil.copyfile(original / name, folder / name)
    return folder


def nested(tree: Any, depth: int) -> Any:
    """A feature in a sequence, in the two forms in which TFDS writes JSON into JSON."""
    for _ in range(depth):
        tree = {"jsonFeature": {"json": json.dumps({"feature": tree})},
                "pythonClassName": "tensorflow_datasets.core.features.sequence_feature.Sequence"}  # fmt: skip
    return tree


FEATURE_FORMS = {
    "plain": {"pythonClassName": "planted.Feature", "jsonFeature": {"json": "{}"}},
    "other spelling": {"python_class_name": "planted.Feature", "json_feature": {"json": "{}"}},
    "within text": nested({"type": "planted.Feature", "content": {}}, 2),
    "a module of ours": {"pythonClassName": "tensorflow_datasets.core.features.planted.deep.Feature"},
    "a module of Python's": {"pythonClassName": "antigravity.Feature"},
}


@pytest.mark.parametrize("file", ["features.json", "dataset_info.json"])
@pytest.mark.parametrize("form", FEATURE_FORMS)
def test_features_that_name_a_module(
    tmp_path: Path, tfds_data: str, ran: Path, monkeypatch: pytest.MonkeyPatch, file: str, form: str
) -> None:
    """TFDS alone would import it, from wherever Python looks for modules."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/planted.py").write_text(f"open({str(ran)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    folder = dataset(tmp_path, tfds_data)
    features = read_json(folder / "features.json")
    features["featuresDict"]["features"]["other"] = FEATURE_FORMS[form]
    content = features if file == "features.json" else read_json(folder / file) | {"features": features}
    (folder / file).write_text(json.dumps(content))
    (folder / "features.json").unlink(missing_ok=file != "features.json")
    if file == "features.json":
        (folder / file).write_text(json.dumps(content))
    line = line_of(data.load, data_settings(source="tfds", name="mnist", dir=str(tmp_path / "tfds")))
    assert "not TFDS's own" in line
    assert not ran.exists()
    assert "planted" not in sys.modules


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"moduleName": "planted"}, "mnist"),
        ({"fileFormat": "tfrecord"}, "needs TensorFlow to read"),
        ({"fileFormat": "planted"}, "needs TensorFlow to read"),
        ({"name": "../../elsewhere"}, "leads out of the folder"),
        ({"splits": [{"name": "train", "filepathTemplate": "/etc/passwd", "shardLengths": ["1"]}]}, "leads out"),
        ({"splits": [{"name": "train", "filepathTemplate": "gs://evil/{SPLIT}", "shardLengths": ["1"]}]}, "leads out"),
        ({"splits": {"name": 3}}, "damaged"),
        ({"splits": [{"name": ["train"]}]}, "leads out"),
        ({"version": EVIL}, "damaged"),
        ({"features": "[" * 100_000}, "damaged|mnist"),
    ],
)  # fmt: skip
def test_descriptions_of_a_dataset(
    tmp_path: Path, tfds_data: str, ran: Path, monkeypatch: pytest.MonkeyPatch, change: Any, words: str
) -> None:
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/planted.py").write_text(f"open({str(ran)!r}, 'w')\n")
    monkeypatch.syspath_prepend(tmp_path / "modules")
    folder = dataset(tmp_path, tfds_data)
    (folder / "dataset_info.json").write_text(json.dumps(read_json(folder / "dataset_info.json") | change))
    line = line_of(data.load, data_settings(source="tfds", name="mnist", dir=str(tmp_path / "tfds")))
    assert any(word in line for word in words.split("|"))
    assert not ran.exists()
    assert not any(name == "tensorflow" or name.startswith("planted") for name in sys.modules)


# Names.

NAMES = ["..", "<script>alert(1)<", "=cmd|' /C calc'!A0", "+1+1", "@SUM(1)", "-2", "two\nlines", "\x1b[31mred\x1b[0m",
         "$(touch ran)", "%s{0}", "a\tb", "$x^2$"]  # fmt: skip


@pytest.mark.slow
def test_names_of_classes_stay_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From a folder and a manifest to the terminal, tables and pictures: nothing is obeyed, and no file is named so."""
    monkeypatch.chdir(tmp_path)
    rows = [(str(photo(tmp_path / f"in/{k}-{i}.png", 20 * k)), name) for k, name in enumerate(NAMES) for i in range(4)]
    with open(tmp_path / "in/set.csv", "w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), ("../other/x.png", "../../x"), *rows])
    photo(tmp_path / "other/x.png")
    before = {path.name for path in tmp_path.iterdir()}
    config = tiny_config(
        data__source="csv", data__dir=str(tmp_path / "in/set.csv"), data__image_size=8, data__validation=0,
        batch_size=8, num_epochs=1, data__test=0.3,
    )  # fmt: skip
    fit(config, tmp_path / "run")
    assess(tmp_path / "run")
    assert {path.name for path in tmp_path.iterdir()} == before | {"run"}
    run = load_run(tmp_path / "run")
    assert len(run.class_names) == len(NAMES) + 1
    assert all(name.isprintable() for name in run.class_names)
    evaluated = script("evaluate.py", "--workdir=run")
    predicted = script("predict.py", "--workdir=run", "--top=20", "in/0-0.png")
    for result in (evaluated, predicted):
        assert result.returncode == 0, result.stderr
        assert "\x1b" not in result.stdout + result.stderr
        assert r"\x1b[31mred" in result.stdout
    assert script("predict.py", "--workdir=run", "--csv=table.csv", "in/0-0.png").returncode == 0
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert not any("script" in name or "cmd" in name or name == "ran" for name in files)


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_no_cell_of_a_table_is_a_formula(start: str) -> None:
    image, name, probability = table_row(Prediction(f"{start}1.png", ((f"{start}A1", 0.25),)))
    assert image == f"./{start}1.png"
    assert name == f"'{start}A1"
    assert probability == "0.250000"
    assert table_row(Prediction("/a/-1.png", (("cat", 1.0),)))[:2] == ["/a/-1.png", "cat"]


def test_a_run_that_was_handed_over_with_names_for_a_terminal(handed_over: Path, photographs: list[Path]) -> None:
    rewrite(handed_over, "resolved", "class_names", value=[f"\x1b]0;{k}\x07" for k in range(10)])
    result = script("predict.py", f"--workdir={handed_over}", photographs[0])
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stdout
    assert r"\x1b]0;" in result.stdout


# Pictures.


def png_of(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size + b"\x08\x02\0\0\0")
    return start + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16)).save(stream, "JPEG")
    content = stream.getvalue()
    frame = content.index(b"\xff\xc0") + 5
    return content[:frame] + height.to_bytes(2, "big") + width.to_bytes(2, "big") + content[frame + 4 :]


@pytest.mark.parametrize("content", [png_of(60_000, 60_000), jpeg_of(60_000, 60_000)],
                         ids=["png", "jpeg"])  # fmt: skip
def test_pictures_that_claim_billions_of_pixels(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bomb").write_bytes(content)
    assert "bomb: this image cannot be read" in line_of(read_image, tmp_path / "bomb")


def test_pictures_that_are_programs(tmp_path: Path, ran: Path) -> None:
    """PostScript is a language; Pillow would start Ghostscript for it."""
    (tmp_path / "picture.png").write_text(f"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n({ran}) (w) file\n")
    assert "not an image" in line_of(read_image, tmp_path / "picture.png")
    assert not ran.exists()


# The code itself.

FORBIDDEN = {"eval", "exec", "compile", "__import__"}


@pytest.mark.parametrize(
    "path", sorted([*(ROOT / "cnn_jax").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]), ids=lambda path: path.stem
)
def test_nothing_in_the_code_turns_text_into_code(path: Path) -> None:
    """Only a --config file is code, and it is meant to be."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        names = {alias.name.partition(".")[0] for alias in getattr(node, "names", []) if isinstance(alias, ast.alias)}
        if isinstance(node, ast.ImportFrom):
            names.add((node.module or "").partition(".")[0])
        assert not names & {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "tarfile"}
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        keywords = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        assert called not in FORBIDDEN
        assert called not in ("yaml.load", "os.system", "os.popen", "shutil.unpack_archive")
        if path.name != "tables.py":  # imports what the package's tables and the user's own code name, never a file
            assert called != "importlib.import_module"
        assert keywords.get("shell", "False") == "False"
        if called == "np.load":
            assert keywords.get("allow_pickle") == "False"
    if path.name != "tree.py":
        assert "exec_module" not in source
