"""Sources: each public layout, faked small, becomes the manifest that its module promises."""

import os
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image
from scipy.io import savemat

from data.sources import hvc, market1501, peta
from data.sources.__main__ import main
from helpers.manifest import Manifest, check_split, read_manifest


def image(path: Path, shade: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (4, 10), (shade, 100, 100)).save(path)


@pytest.fixture
def command(command: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, str, str]]:
    """Runs data.sources in this process; returns exit code, standard output and error."""

    def run(name: str, root: Path, out: Path, *options: object) -> tuple[int, str, str]:
        return command(main, name, "--root", root, "--out", out, *options)

    return run


def column(manifest: Manifest, name: str) -> dict[str, str]:
    """File name to the cell of a column."""
    names = [Path(path).name for path in manifest.frame["image_path"]]
    return dict(zip(names, manifest.frame[name]))


# PETA

PETA_LABELS = {
    "PRID": (
        "0001 upperBodyBlack lowerBodyBlue personalMale personalLess30 carryingBackpack "
        "footwearShoes footwearStocking hairShort hairBald accessoryNothing\n"
        "2 upperBodyBlack upperBodyWhite lowerBodyGrey personalFemale personalLess45 "
        "carryingBackpack carryingOther hairLong accessoryHat\n"
        "0009 upperBodyRed personalMale\n\n"
    ),
    "CUHK": (
        "0606.png upperBodyPink lowerBodyBlack personalFemale personalLarger60 "
        "carryingSuitcase carryingLuggageCase hairLong hairShort accessoryNothing\n"
    ),
    "TownCentre": "0 upperBodyWhite lowerBodyBlue personalMale carryingNothing carryingOther\n",
}
PETA_IMAGES = {
    "PRID": ["0001_a.png", "0001_b.png", "0002_a.png", "0007_a.png"],
    "CUHK": ["0606.jpg"],
    "TownCentre": ["0_8.jpg", "0_16.jpg"],
}


@pytest.fixture
def peta_folder(tmp_path: Path) -> Path:
    for subset, text in PETA_LABELS.items():
        archive = tmp_path / "PETA dataset" / subset / "archive"
        for name in PETA_IMAGES[subset]:
            image(archive / name, shade=len(name))
        (archive / "Label.txt").write_text(text)
    return tmp_path


def test_peta_reads_all_images_by_person(peta_folder: Path, command) -> None:
    out = peta_folder / "manifest.csv"
    code, printed, _ = command("peta", peta_folder, out)
    assert code == 0
    assert "PRID: 4 images of 3 people" in printed
    assert (
        "PRID: images without a line in Label.txt, kept without labels: 1 (0007_a.png)" in printed
    )
    assert "PRID: people in Label.txt without an image: 1 (9)" in printed
    assert "7 images, 5 groups" in printed
    manifest = read_manifest(out)
    assert len(manifest) == 7
    assert manifest.frame["image_path"].str.startswith("PETA dataset/").all()
    assert column(manifest, "group") == {
        "0001_a.png": "PRID/1",
        "0001_b.png": "PRID/1",
        "0002_a.png": "PRID/2",
        "0007_a.png": "PRID/7",
        "0606.jpg": "CUHK/606",
        "0_8.jpg": "TownCentre/0",
        "0_16.jpg": "TownCentre/0",
    }
    assert column(manifest, "camera")["0001_b.png"] == "b"
    assert "subset" not in manifest.tasks
    assert all(Path(path).is_file() for path in manifest.paths)


def test_peta_words_become_classes(peta_folder: Path, command) -> None:
    command("peta", peta_folder, peta_folder / "manifest.csv")
    manifest = read_manifest(peta_folder / "manifest.csv")
    top = column(manifest, "top_color")
    assert top["0001_b.png"] == "black"
    assert top["0002_a.png"] == "multicolor"
    assert top["0007_a.png"] == ""
    carrying = column(manifest, "carrying")
    assert carrying["0002_a.png"] == "several"
    assert carrying["0606.jpg"] == "suitcase"  # luggage case and suitcase are one class
    assert carrying["0_8.jpg"] == ""  # nothing and something contradict each other
    assert column(manifest, "age")["0606.jpg"] == "61+"
    assert column(manifest, "gender")["0_16.jpg"] == "male"
    assert column(manifest, "footwear")["0001_a.png"] == "shoes"
    hair = column(manifest, "hair_length")
    assert (hair["0001_a.png"], hair["0606.jpg"]) == ("bald", "")
    assert manifest.labels.tasks["gender"] == ("male", "female")


def test_peta_takes_the_folder_itself_too(peta_folder: Path) -> None:
    above, itself = peta.read(peta_folder), peta.read(peta_folder / "PETA dataset")
    assert above.paths == itself.paths


def test_peta_two_lines_of_one_person_keep_what_both_say(peta_folder: Path, command) -> None:
    labels = peta_folder / "PETA dataset" / "PRID" / "archive" / "Label.txt"
    labels.write_text(PETA_LABELS["PRID"] + "01 upperBodyBlack lowerBodyBlack personalMale\n")
    _, printed, _ = command("peta", peta_folder, peta_folder / "manifest.csv")
    assert "people with two lines in Label.txt, only what both say kept: 1 (1)" in printed
    manifest = read_manifest(peta_folder / "manifest.csv")
    assert column(manifest, "top_color")["0001_a.png"] == "black"
    assert column(manifest, "bottom_color")["0001_a.png"] == ""


def test_peta_elsewhere_is_refused(tmp_path: Path, command) -> None:
    (tmp_path / "images").mkdir()
    code, _, error = command("peta", tmp_path, tmp_path / "out" / "manifest.csv")
    assert code == 2
    assert "expected PETA dataset/<subset>/archive/Label.txt, found images" in error
    assert not (tmp_path / "out").exists()


# Market-1501


def market_part(people: list[str], **marked: list[int]) -> dict[str, list]:
    """All 27 columns of a part, 1 ("no", or the first class) where nothing else is given."""
    columns = market1501._columns()
    assert len(columns) == 27
    return {name: marked.get(name, [1] * len(people)) for name in columns} | {"image_index": people}


@pytest.fixture
def market_folder(tmp_path: Path) -> Path:
    image(tmp_path / "bounding_box_train" / "0002_c1s1_000451_03.jpg")
    image(tmp_path / "bounding_box_train" / "0002_c3s1_000551_01.jpg")
    image(tmp_path / "bounding_box_train" / "0007_c2s3_070952_01.jpg")
    image(tmp_path / "bounding_box_test" / "0001_c1s1_001051_00.jpg")
    image(tmp_path / "bounding_box_test" / "-1_c1s1_000401_03.jpg")
    image(tmp_path / "bounding_box_test" / "0000_c1s1_000151_01.jpg")
    image(tmp_path / "query" / "0001_c2s1_000301_00.jpg")
    train = market_part(
        ["0002", "0007"],
        gender=[1, 2],
        age=[2, 3],
        hair=[1, 2],
        upblack=[1, 2],
        downblue=[2, 1],
        backpack=[2, 2],
        handbag=[1, 2],
    )
    test = market_part(["0001"], gender=[2], upred=[2], clothes=[2])
    savemat(tmp_path / "market_attribute.mat", {"market_attribute": {"train": train, "test": test}})
    return tmp_path


def test_market1501_reads_persons_and_attributes(market_folder: Path, command) -> None:
    code, printed, _ = command("market1501", market_folder, market_folder / "manifest.csv")
    assert code == 0
    assert "people without attributes, left out: 2 (-1_c1s1" in printed
    manifest = read_manifest(market_folder / "manifest.csv")
    assert len(manifest) == 5
    assert column(manifest, "group")["0002_c3s1_000551_01.jpg"] == "0002"
    row = manifest.frame.set_index(manifest.frame["image_path"].map(lambda p: Path(p).name))
    first, second = row.loc["0002_c1s1_000451_03.jpg"], row.loc["0007_c2s3_070952_01.jpg"]
    assert (first["gender"], first["age"], first["hair_length"]) == ("male", "teenager", "short")
    assert (first["top_color"], first["bottom_color"]) == ("other", "blue")
    assert (first["carrying"], second["carrying"]) == ("backpack", "several")
    assert (first["part"], first["camera"]) == ("train", "1")
    query = row.loc["0001_c2s1_000301_00.jpg"]
    assert (query["part"], query["top_color"], query["bottom_type"]) == ("test", "red", "pants")


def test_market1501_without_or_with_another_attribute_file(market_folder: Path, command) -> None:
    attributes = market_folder / "market_attribute.mat"
    attributes.write_bytes(b"no matlab file" * 20)
    code, _, error = command("market1501", market_folder, market_folder / "manifest.csv")
    assert code == 2
    assert "found another form" in error
    attributes.unlink()
    code, _, error = command("market1501", market_folder, market_folder / "manifest.csv")
    assert code == 2
    assert "found no such file. Get it from" in error


# HVC

HVC_LINES = """\
filename,gender,imagequality,age,weight,carryingbag,footwear,emotion,bodypose,image_path
images/Set1/5580_2 (3).jpg,male,Average,35-45,normal-healthy,None,Normal,Neutral,Back,resized/1.jpg
images/Set1/5610_0.jpg,female,Good,25-35,underweight,None,Fancy,Sad,Side,resized/2.jpg
images/Set2/5580_2.jpg,male,Bad,55+,over-weight,Grocery/Home/Plastic Bag,CantSee,Sad,Side,resized/3.jpg
images/Set1/IMG (219).jpg,male,Bad,55+,over-weight,None,CantSee,Happy,Back,resized/4.jpg
"""  # noqa: E501


@pytest.fixture
def hvc_folder(tmp_path: Path) -> Path:
    (tmp_path / "hvc_annotations.csv").write_text(HVC_LINES)
    for number in range(1, 5):
        image(tmp_path / "resized" / f"{number}.jpg")
    return tmp_path


def test_hvc_reads_the_eight_tasks(hvc_folder: Path, command) -> None:
    code, _, _ = command("hvc", hvc_folder, hvc_folder / "manifest.csv")
    assert code == 0
    manifest = read_manifest(hvc_folder / "manifest.csv")
    assert manifest.tasks == list(hvc.TASKS)
    assert column(manifest, "carryingbag")["1.jpg"] == "None"
    assert manifest.labels.tasks["carryingbag"] == ("None", "Grocery/Home/Plastic Bag")
    assert manifest.targets("carryingbag").tolist() == [0, 0, 1, 0]
    groups = column(manifest, "group")
    assert groups["1.jpg"] == groups["2.jpg"] == "Set1/frames/18"
    assert groups["3.jpg"] == "Set2/frames/18"
    assert groups["4.jpg"] == "Set1/photographs/21"


def test_hvc_says_which_images_are_absent(hvc_folder: Path, command) -> None:
    (hvc_folder / "resized" / "3.jpg").unlink()
    out = hvc_folder / "manifest.csv"
    code, _, error = command("hvc", hvc_folder, out)
    assert code == 2
    assert "expected 4 images, 1 of them are absent: resized/3.jpg" in error
    assert not out.exists()
    code, printed, _ = command("hvc", hvc_folder, out, "--allow-missing")
    assert code == 0
    assert "stay in the manifest: 1 (resized/3.jpg)" in printed
    assert len(read_manifest(out)) == 4


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("bodypose,", "pose,", "bodypose not found"),
        ("Average", "Averge", "row 2: expected imagequality to be one of Good, Average, Bad"),
    ],
)
def test_hvc_of_another_form(hvc_folder: Path, command, old: str, new: str, message: str) -> None:
    (hvc_folder / "hvc_annotations.csv").write_text(HVC_LINES.replace(old, new))
    code, _, error = command("hvc", hvc_folder, hvc_folder / "manifest.csv")
    assert code == 2
    assert message in error


# Folders


def test_folders_are_classes(tmp_path: Path, command) -> None:
    for name in ("cat/1_a.jpg", "cat/1_b.png", "dog/deep/2_a.JPG", ".hidden/x.jpg", "loose.jpg"):
        image(tmp_path / "data" / name)
    (tmp_path / "data" / "cat" / "notes.txt").write_text("no image")
    out = tmp_path / "manifest.csv"
    options = ["--task", "animal", "--group-pattern", "^[0-9]+"]
    code, printed, _ = command("folders", tmp_path / "data", out, *options)
    assert code == 0
    assert "in no class, left out: 1" in printed
    manifest = read_manifest(out)
    assert column(manifest, "animal") == {"1_a.jpg": "cat", "1_b.png": "cat", "2_a.JPG": "dog"}
    assert column(manifest, "group")["1_b.png"] == "cat/1"
    assert manifest.frame["image_path"][0] == "data/cat/1_a.jpg"


def test_split_folders_are_splits(tmp_path: Path, command) -> None:
    for top in ("train", "val", "test"):
        for name in ("cat", "dog"):
            image(tmp_path / top / name / f"{top}.jpg")
    command("folders", tmp_path, tmp_path / "manifest.csv")
    manifest = read_manifest(tmp_path / "manifest.csv")
    assert manifest.labels.tasks == {"label": ("cat", "dog")}
    assert column(manifest, "split")["val.jpg"] == "validation"
    check_split(manifest, ("train", "validation", "test"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--group-pattern", "["], "expected a regular expression"),
        (["--group-pattern", "x+"], "matches nothing in 1.jpg"),
        ([], "expected at least two folders of images"),
    ],
)
def test_folders_that_cannot_be_read(
    tmp_path: Path, command, options: list[str], message: str
) -> None:
    image(tmp_path / "cat" / "1.jpg")
    code, _, error = command("folders", tmp_path, tmp_path / "manifest.csv", *options)
    assert code == 2
    assert message in error
    assert not (tmp_path / "manifest.csv").exists()


# A plain CSV


def test_csv_with_columns_of_other_names(tmp_path: Path, command) -> None:
    for name in "ab":
        image(tmp_path / f"{name}.jpg")
    (tmp_path / "list.csv").write_text(
        "photo,person,bag,color,note\na.jpg,7,None,red,x\nb.jpg,7,Big,blue,x\nc.jpg,8,,red,y\n"
    )
    options = ["--image-column", "photo", "--group-column", "person", "--tasks", "bag,color"]
    code, printed, _ = command("csv", tmp_path, tmp_path / "out" / "manifest.csv", *options)
    assert code == 0
    assert "images that are not below" in printed
    assert "1 (c.jpg)" in printed
    manifest = read_manifest(tmp_path / "out" / "manifest.csv")
    assert manifest.labels.tasks == {"bag": ("Big", "None"), "color": ("blue", "red")}
    assert manifest.groups.tolist() == ["7", "7", "8"]
    assert manifest.frame["note"].tolist() == ["x", "x", "y"]
    assert manifest.paths[0] == str(tmp_path / "a.jpg")


def test_csv_guesses_the_image_column(tmp_path: Path, command) -> None:
    (tmp_path / "list.csv").write_text("file,t,constant\na.jpg,x,1\nb.jpg,y,1\n")
    code, printed, _ = command("csv", tmp_path, tmp_path / "out" / "manifest.csv")
    assert code == 0
    assert "columns without two classes, information and no tasks: 1 (constant)" in printed
    assert read_manifest(tmp_path / "out" / "manifest.csv").tasks == ["t"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--image-column", "photos"], "Did you mean 'photo'"),
        ([], "expected the image column 'image_path', found photo, t"),
        (["--csv", "absent.csv"], "expected absent.csv, found list.csv"),
        (["--image-column", "photo", "--tasks", "u"], "expected the task column 'u'"),
    ],
)
def test_csv_that_cannot_be_read(tmp_path: Path, command, options: list[str], message: str) -> None:
    (tmp_path / "list.csv").write_text("photo,t\na.jpg,x\nb.jpg,y\n")
    code, _, error = command("csv", tmp_path, tmp_path / "out" / "manifest.csv", *options)
    assert code == 2
    assert message in error
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


# The command


def test_command_refuses_what_is_not_there(tmp_path: Path, command) -> None:
    code, _, error = command("peta", tmp_path / "absent", tmp_path / "manifest.csv")
    assert code == 2
    assert "expected the folder of the data, found nothing there" in error
    code, _, error = command("imagenet", tmp_path, tmp_path / "manifest.csv")
    assert code == 2
    assert "invalid choice: 'imagenet'" in error
    assert list(tmp_path.iterdir()) == []


# The real datasets, where they are


def real_folder(variable: str, what: str) -> Path:
    if not os.environ.get(variable):
        pytest.skip(f"{variable} is not set: it names {what}")
    return Path(os.environ[variable])


@pytest.mark.real_data
def test_peta_as_published(tmp_path: Path, command) -> None:
    root = real_folder("WORKSHOP_PETA", "the folder that holds 'PETA dataset'")
    code, _, _ = command("peta", root, tmp_path / "manifest.csv")
    assert code == 0
    frame = read_manifest(tmp_path / "manifest.csv").frame
    files = [path for path in root.glob("PETA dataset/*/archive/*") if path.name != "Label.txt"]
    assert len(frame) == len(files)
    assert (frame["gender"] != "").mean() > 0.999
    assert (frame["top_color"] == "multicolor").mean() > 0.05
    assert frame["group"].nunique() < len(frame) / 2


@pytest.mark.real_data
def test_hvc_as_published(tmp_path: Path, command) -> None:
    root = real_folder("WORKSHOP_HVC", "the folder that holds hvc_annotations.csv")
    code, _, _ = command("hvc", root, tmp_path / "manifest.csv", "--allow-missing")
    assert code == 0
    frame: pd.DataFrame = read_manifest(tmp_path / "manifest.csv").frame
    assert len(frame) == 13573
    assert frame["gender"].value_counts().to_dict() == {"male": 7636, "female": 5937}
    assert frame["carryingbag"].value_counts()["None"] == 7649
    assert frame["footwear"].value_counts()["CantSee"] == 5028
