"""Pictures of one person or one series never stand on two sides of a split that is made."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import StratifiedGroupKFold

from cnn_jax import data
from cnn_jax.data.group_split import group_split
from cnn_jax.data.splits import whole_groups
from cnn_jax.errors import InputError
from tests.support.helpers import data_settings, refusal

PEOPLE = 12


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Twelve people with one to five pictures in each of two classes; gray values tell the people apart."""
    lines = ["path,label,person"]
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for person in range(PEOPLE):
            for number in range(1 + person % 5):
                path = tmp_path / "photos" / name / f"p{person}_{number}.png"
                Image.new("L", (4, 4), 20 * person).save(path)
                lines.append(f"{path},{name},{'' if person == 0 else f'person {person}'}")
    (tmp_path / "people.csv").write_text("\n".join(lines))
    return tmp_path


def load(folder: Path, source: str, **changes: Any) -> data.Splits:
    place = folder / ("people.csv" if source == "csv" else "photos")
    return data.load(data_settings(source=source, dir=str(place), **changes))


def people_in(splits: data.Splits) -> list[set[int]]:
    """Of training, validation and test."""
    parts = [part for part in (splits.train, splits.validation, splits.test) if part is not None]
    return [set((part.read(np.arange(len(part)))[:, 0, 0, 0] // 20).tolist()) for part in parts]


@pytest.mark.parametrize(
    ("source", "group"), [("csv", "person"), ("csv", r"(p\d+)_"), ("folder", "^([^_]+)_"), ("folder", r"(.*)_\d+")]
)
def test_a_group_stays_in_one_split(people: Path, source: str, group: str, capsys: pytest.CaptureFixture[str]) -> None:
    """In whatever class its pictures stand; without groups, the parts share people."""
    train, validation, test = people_in(load(people, source, group=group, validation=0.2, test=0.25))
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert train | validation | test == set(range(PEOPLE))
    said = capsys.readouterr().err
    assert re.search(r"test: 1\d images in \d of 1\d groups of data\.group \(data\.test=0\.25 asks for 16\)", said)
    assert re.search(
        r"validation: 1\d images in \d of 1\d groups of data\.group \(data\.validation=0\.2 asks for 1\d\)", said
    )
    assert ("2 of 66 images have no group; each stands for itself" in said) == (group == "person")
    train, validation, test = people_in(load(people, source, validation=0.2, test=0.25))
    assert train & validation


def test_other_groups_are_other_data(people: Path) -> None:
    """They make other splits: a run must not go on, nor be evaluated, with them."""
    before = load(people, "csv", group="person").fingerprint
    table = people / "people.csv"
    table.write_text(table.read_text().replace("person 3", "person 2"))
    assert load(people, "csv", group="person").fingerprint != before


def test_groups_of_split_folders(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Those that the folders part are counted; the part that is taken from train parts none."""
    (people / "train").mkdir()
    (people / "photos").rename(people / "train/all")
    (people / "photos").mkdir()
    (people / "train/all").rename(people / "photos/train")
    for name in ("cat", "dog"):
        (people / "photos/test" / name).mkdir(parents=True)
        (people / "photos/train" / name / "p4_0.png").rename(people / "photos/test" / name / "p4_0.png")
    train, validation, test = people_in(load(people, "folder", group=r"^(p\d+)_", validation=0.2))
    assert test == {4}
    assert not train & validation
    assert "1 groups of data.group stand in test and in train, as the data divide them" in capsys.readouterr().err


def random_groups(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and groups of 40 groups with 1 to 30 examples, most of one of five classes."""
    random = np.random.RandomState(seed)
    sizes = random.randint(1, 31, 40)
    groups = np.repeat(np.arange(40), sizes)
    labels = np.where(random.random_sample(len(groups)) < 0.8, (groups * 7) % 5, random.randint(0, 5, len(groups)))
    return labels, groups


@pytest.mark.parametrize("seed", range(5))
def test_group_shares_are_at_least_sklearns(seed: int) -> None:
    """Size and classes are nearer to a fifth than scikit-learn's best fold is; nothing moves."""
    labels, groups = random_groups(seed)
    total = round(len(labels) / 5)

    def error(taken: np.ndarray) -> float:
        wanted = np.bincount(labels) * total / len(labels)
        off = np.bincount(labels[taken], minlength=5) / wanted - 1
        return (len(taken) / total - 1) ** 2 + float((off**2).mean())

    ours = group_split(labels, groups, total, 0)
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0).split(labels, labels, groups)
    assert error(ours) <= min(error(test) for _, test in folds)
    assert len(ours) == pytest.approx(total, rel=0.03)
    assert not set(groups[ours]) & set(np.delete(groups, ours))
    assert np.array_equal(ours, group_split(labels, groups, total, 0))


def test_groups_are_drawn_whatever_their_size() -> None:
    """Not the largest first: a part of large series alone would be another kind of data."""
    groups = np.concatenate([np.repeat(np.arange(20), 50), np.arange(20, 1020)])
    taken = groups[group_split(groups % 2, groups, 400, 0)]
    assert 0.3 < (taken < 20).mean() < 0.7


def test_a_class_of_one_group_stays_in_training() -> None:
    labels, groups = np.array([0] * 30 + [1] * 5 + [2] * 10), np.array([*np.arange(30) // 3, *[10] * 5, *range(11, 21)])
    kept, taken = whole_groups(labels, groups, 0.8, "data.validation")
    assert set(labels[kept]) == {0, 1, 2}
    assert set(labels[taken]) == {0, 2}


# A split that must never move: a resumed run would train on its validation data.
GOLDEN = [1, 3, 8, 17, 29, 30, 38]


def test_groups_of_a_split_do_not_move() -> None:
    labels, groups = random_groups(0)
    assert sorted(set(groups[group_split(labels, groups, 60, 20_040_229)].tolist())) == GOLDEN


@pytest.mark.parametrize(
    ("source", "group", "words"),
    [
        ("folder", r"p\d+", "it needs a group in parentheses"),
        ("folder", "(p", "it is no regular expression"),
        ("folder", r"(x\d+)", "none of the 66 images has such a group"),
        ("csv", "persn", r"no such column \(did you mean 'person'\?\); it must be one of path, label, person"),
        ("csv", "(p", "it is no regular expression"),
        ("digits", "person", "it needs data.source=folder or csv, not 'digits'"),
    ],
)
def test_groups_that_cannot_be(people: Path, source: str, group: str, words: str) -> None:
    place = {} if source == "digits" else {"dir": str(people / ("people.csv" if source == "csv" else "photos"))}
    assert re.search(words, refusal(lambda: data.load(data_settings(source=source, group=group, **place))))


def test_groups_too_large_for_the_share(people: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to take is refused; a class that is lost is named."""
    labels = np.repeat([0, 1], 20)
    with pytest.raises(InputError, match=r"data\.test=0\.1: no group .* for 4 of 40 images \(the smallest has 10,"):
        whole_groups(labels, np.arange(40) // 10, 0.1, "data.test")
    for number in range(9):
        Image.new("L", (4, 4), 250).save(people / f"photos/dog/p99_{number}.png")
    for path in (people / "photos/dog").glob("p?_*"):
        path.unlink()
    for path in (people / "photos/dog").glob("p1[01]_*"):
        path.unlink()
    load(people, "folder", group=r"(p\d+)_", validation=0, test=0.2)
    assert "no test image of 1 of 2 classes (dog)" in capsys.readouterr().err


def test_other_data_need_no_groups(people: Path) -> None:
    """`evaluate --data_dir`: nothing is divided, and other data may not say who is on them."""
    from cnn_jax.config.tree import default_config, override
    from cnn_jax.inference.evaluation import load_split
    from cnn_jax.inference.run import Run

    table = people / "people.csv"
    changes = [("data.source", "csv"), ("data.dir", str(table)), ("data.group", "person")]
    (people / "other.csv").write_text(table.read_text().replace(",person\n", ",who\n"))
    run = Run(override(default_config(), changes), (4, 4, 1), ("cat", "dog"), None, None, None)  # type: ignore[arg-type]
    assert len(load_split(run, "train", str(people / "other.csv"))) == 66
