import pandas as pd
import pytest

from helpers.workshop import exercises

SHOES = {
    "image_path": ["a1.jpg", "a2.jpg", "b1.jpg", "b2.jpg"],
    "group": ["a", "a", "b", "b"],
    "kind": ["boot", "boot", "sneaker", "sneaker"],
    "color": ["red", "red", "", "black"],
}


def test_a_manifest_of_two_pairs_is_right():
    assert exercises.is_right("00-manifest", pd.DataFrame(SHOES))
    assert exercises.is_right("00-outputs", 27)


@pytest.mark.parametrize(
    "spoiled",
    [
        {"group": ["a", "b", "c", "d"]},  # pairs apart
        {"color": ["red", "red", "grey", "black"]},  # nothing missing
        {"image_path": ["a1.jpg"] * 4},
        {"kind": ["boot"] * 4},
        {"size": [38, 38, 42, 42]},
    ],
)
def test_other_tables_get_the_hint(spoiled):
    assert "share a group" in exercises.verdict("00-manifest", pd.DataFrame(SHOES | spoiled))
