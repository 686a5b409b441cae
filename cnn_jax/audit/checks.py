"""Every kind of finding: how grave it is, why it matters, what to do. The gravest stand first."""

from typing import NamedTuple

LEVELS = ("error", "warning", "note")


class Kind(NamedTuple):
    """`level` is one of LEVELS; `why` and `what_to_do` are sentences."""

    level: str
    why: str
    what_to_do: str


KINDS = {
    "empty file": Kind(
        "error", "These files hold nothing: a copy or a download broke off, and training stops at them.",
        "Fetch them again, or delete them.",
    ),
    "class without images": Kind(
        "error", "No picture of these classes can be used, so that they cannot be learnt.",
        "Add pictures of them, or take the class away: its folder, or its rows in the manifest.",
    ),
    "rows of the manifest": Kind(
        "error", "These rows are incomplete, contradict each other, or name files that are not there; training stops "
        "at them, or leaves them out (data.on_error=skip).",
        "Correct or delete them.",
    ),
    "truncated": Kind(
        "error", "The end of these files is missing, so that a part of the picture is.",
        "Fetch them again, or delete them.",
    ),
    "not an image": Kind(
        "error", "These files are no pictures, whatever their names say; training stops at them.",
        "Each line says what the file is, and what to do: convert it, fetch the picture again, or move it away.",
    ),
    "unknown range": Kind(
        "error", "These pictures hold floating-point numbers outside 0 to 1, or integers of 32 bits, and do not say "
        "which value is white; training stops at them.",
        "State it in data.white, and in data.black where black is not 0.",
    ),
    "unreadable": Kind(
        "error", "These pictures cannot be read; training stops at them, or leaves them out (data.on_error=skip).",
        "Fetch them again, or delete them.",
    ),
    "decompression bomb": Kind(
        "error", "These files claim to be so large that decoding them could take all memory.",
        "Scale them down where they are trusted; else delete them.",
    ),
    "label out of range": Kind(
        "error", "These labels name no class.", "Labels must be 0..K-1 for K classes: correct them.",
    ),
    "blank picture": Kind(
        "error", "A picture of one color shows nothing of its class, so that its label is noise.",
        "Delete them; look for what made them (failed exports, covered lenses).",
    ),
    "blank as it is read": Kind(
        "error", "These pictures show something, but not at 8 bits a channel and on white, as they are read: a network "
        "sees one color.",
        "Put white shapes on the background that they were made for; name the range of deep ones (data.black, "
        "data.white).",
    ),
    "duplicates with different labels": Kind(
        "error", "The same picture cannot be of two classes: at least one of its labels is wrong.",
        "Decide which label is right, and delete the other copies.",
    ),
    "duplicates across splits": Kind(
        "error", "The model is tested on what it was trained on, so that its accuracy looks better than it is.",
        "Keep one copy: delete it from the training split.",
    ),
    "mask beside a picture": Kind(
        "warning", "These files have two gray values and the name of a picture beside them: masks, which would be "
        "trained on as pictures of the class.",
        "Leave them out: in a folder by data.exclude, as in data.exclude='*.png'; in a manifest by deleting the rows.",
    ),
    "near duplicates with different labels": Kind(
        "warning", "These pictures show nearly the same, but have different labels; one of them may be wrong.",
        "Look at each group and correct the labels.",
    ),
    "near duplicates across splits": Kind(
        "warning", "Nearly the same pictures are in several splits, so that the accuracy may look better than it is.",
        "Keep each group within one split.",
    ),
    "duplicates": Kind(
        "warning", "Copies weigh twice in training; where other splits are taken from it, some land on both sides.",
        "Keep one of each group.",
    ),
    "near duplicates": Kind(
        "warning", "Series and re-encoded copies hold little news; where other splits are taken from train, some land "
        "on both sides.",
        "Keep one of each group, or put each group into one split.",
    ),
    "groups across splits": Kind(
        "warning", "Pictures of one group (data.group) are in several splits: the accuracy may look better than it is.",
        "Keep each group within one split.",
    ),
    "series": Kind(
        "warning", "By their names these pictures are in series, as of one person or one film; where a split is taken "
        "from train, parts of one series land on both sides, and the accuracy looks better than it is.",
        "If so, say what belongs together with data.group, as here: each group then stays on one side.",
    ),
    "damaged": Kind(
        "warning", "These can be decoded, but the decoder complains: a part may be gray, shifted or not turned.",
        "Look at them; fetch them again where they are broken.",
    ),
    "likely mislabelled": Kind(
        "warning", "Models that did not see these pictures find their labels as unlikely as ones that were changed on "
        "purpose (confident learning, Northcutt et al. 2021).",
        "Look at each, the worst first, and correct the label; some are only hard.",
    ),
    "narrow range": Kind(
        "warning", "These pictures have more than 8 bits a channel and use a small part of them (as 12 bits in 16 do): "
        "they are read dark, and few levels are left.",
        "State the largest value that the camera gives in data.white, as 4095 for 12 bits.",
    ),
    "very dark": Kind(
        "warning", "There is hardly any light in these pictures, so that a network sees little.",
        "Look whether they show anything; delete them, or expose them anew.",
    ),
    "very bright": Kind(
        "warning", "These pictures are washed out, so that a network sees little.",
        "Look whether they show anything; delete them, or expose them anew.",
    ),
    "very blurred": Kind(
        "warning", "Nothing in these pictures is as sharp as in the others: out of focus, shaken, or enlarged from a "
        "much smaller one.",
        "Keep them only where the model will meet such pictures.",
    ),
    "tiny picture": Kind(
        "warning", "These pictures are far smaller than the others; enlarged, they teach a network blur.",
        "Replace them by their originals; thumbnails often slip in.",
    ),
    "extreme aspect ratio": Kind(
        "warning", "One side is at least four times the other: cropping loses most of them, stretching distorts them.",
        "Cut them by hand, or train with data.resize=pad.",
    ),
    "class imbalance": Kind(
        "warning", "The largest class has over ten times the images of the smallest; a model neglects rare classes.",
        "Collect more of the rare ones, or train with data.sampling=balanced; look at balanced accuracy.",
    ),
    "few images": Kind(
        "warning", "Fewer than 20 images teach little of a class, and its accuracy cannot be measured.",
        "Collect more, or merge classes.",
    ),
    "class missing from a split": Kind(
        "warning", "What is not in train cannot be learnt; what is not in the others is not measured.",
        "Put images of every class into every split.",
    ),
    "class shares differ between splits": Kind(
        "warning", "Accuracy depends on the mixture of classes: on another than that of train it is another figure.",
        "Divide anew at random, class by class; else look at each class's recall, and at balanced accuracy.",
    ),
    "pictures differ between splits": Kind(
        "warning", "The splits are of different sources, or were made differently: a model is measured on what it "
        "was not trained for.",
        "Look whether the model will meet pictures like those of test; else divide all pictures anew at random.",
    ),
    "class names alike": Kind(
        "warning", "These names differ by case or white space alone; probably they mean one class.",
        "Merge the classes, or rename one.",
    ),
    "embedding outlier": Kind(
        "note", "The model's features put these pictures far from all others of their class.",
        "Look whether they belong to the set at all.",
    ),
    "turned by EXIF": Kind(
        "note", "These files say that they must be turned to be upright; this package does so, other tools may not.",
        "Nothing, unless you use them elsewhere.",
    ),
    "unusual mode": Kind(
        "note", "CMYK, 16-bit and floating-point pictures are brought to 8 bits of gray or RGB: colors may shift.",
        "Convert them yourself where the range of values matters.",
    ),
    "transparency": Kind(
        "note", "What is transparent is shown on white.", "Put them on the background that the model will meet.",
    ),
    "animated": Kind(
        "note", "Only the first of several frames or pages is used.", "Export the frames that matter as pictures.",
    ),
    "gray and color mixed": Kind(
        "note", "There are gray and color pictures (here: the rarer sort); where a class has more of one sort, a model "
        "may learn the sort.",
        "Look how they are spread over the classes; data.channels=1 makes all of them gray.",
    ),
    "wrong extension": Kind(
        "note", "These files are of another format than their names say; this package reads them, other tools may not.",
        "Rename them.",
    ),
    "few test images": Kind(
        "note", "Of these classes test holds so few images that their recall is known to no better than 20 points.",
        "Collect more test images of them, or judge by all classes together, or by k folds.",
    ),
    "much is cropped away": Kind(
        "note", "data.resize=crop keeps the middle of each picture, in the shape of the network's input; the long ends "
        "are never seen.",
        "Where the things lie there, train with data.resize=pad (all of it, with bars) or stretch.",
    ),
    "hard for this model": Kind(
        "note", "The model finds these labels unlikely, which is no evidence that they are wrong: most are only hard.",
        "Look at the first ones; what is hard for a model shows what it has not learnt.",
    ),
}  # fmt: skip
