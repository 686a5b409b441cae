"""The names of splits: which are understood, which could mean two things, and which only look like one."""

import re

SPLITS = ("train", "validation", "test")
SPLIT_NAMES = {
    "train": "train", "training": "train", "validation": "validation", "valid": "validation", "val": "validation",
    "validate": "validation", "dev": "validation", "development": "validation", "test": "test", "tests": "test",
    "testing": "test",
}  # fmt: skip
ACCEPTED = "train (training), validation (val, valid, validate, dev, development), test (tests, testing)"
# Some keep these for choosing a model, others for the last figure.
_TWO_MEANINGS = {"eval", "evaluation", "evaluate", "holdout", "heldout"}
_FILLERS = {
    "image", "images", "img", "imgs", "picture", "pictures", "pic", "pics", "photo", "photos", "data", "dataset", "set",
    "split", "folder", "dir", "jpg", "jpeg", "png",
}  # fmt: skip
_GLUED = re.compile(f"({'|'.join([*SPLIT_NAMES, *_TWO_MEANINGS])})({'|'.join(_FILLERS)})")
_YEAR = re.compile("(19|20)[0-9]{2}")


def split_of(name: str) -> str | None:
    """The split that a folder's name means, whatever the case: `Train`, `train_images`, `trainset`, `val2017`."""
    words = _telling_words(name)
    return SPLIT_NAMES.get(words[0]) if len(words) == 1 else None


def has_two_meanings(name: str) -> bool:
    """Whether it may mean validation or test: `eval`, `holdout_images`, `hold-out`."""
    return "".join(_telling_words(name)) in _TWO_MEANINGS


def looks_like_a_split(name: str) -> bool:
    """Whether one of its words names a split, as in `flowers_train` and `test_hard`; a class may be so called, too."""
    return has_two_meanings(name) or any(word in SPLIT_NAMES or word in _TWO_MEANINGS for word in _words(name))


def _telling_words(name: str) -> list[str]:
    return [word for word in _words(name) if word not in _FILLERS and not _YEAR.fullmatch(word)]


def _words(name: str) -> list[str]:
    words: list[str] = []
    for word in re.findall(r"[^\W\d_]+|\d+", name.lower()):
        glued = _GLUED.fullmatch(word)
        words += glued.groups() if glued else [word]
    return words
