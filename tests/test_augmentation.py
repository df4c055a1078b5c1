"""Random changes of images, each held to a plain formula."""

import numpy as np
import pytest
from scipy import ndimage

from helpers.pipeline import AUGMENTATIONS, Augmentation, augment

RNG = np.random.default_rng(3)
# smooth, so that a nearest neighbor that falls to the other side of a tie changes little
SMOOTH = ndimage.gaussian_filter(RNG.uniform(0, 255, (2, 41, 23, 3)), (0, 3, 3, 0))
IMAGES = np.interp(SMOOTH, (SMOOTH.min(), SMOOTH.max()), (0, 255)).astype(np.uint8)


class Extreme:
    """A generator whose uniform numbers are all the largest, or all the smallest."""

    def __init__(self, high: bool = True, chance: float = 0.0):
        self.high, self.chance = high, chance

    def uniform(self, low, high, size):
        return np.full(size, high if self.high else low, float)

    def random(self, size):
        return np.full(size, self.chance)

    def integers(self, low, high, size):
        return np.full(size, low)


def test_nothing_asked_nothing_changed() -> None:
    assert np.array_equal(augment(IMAGES, Augmentation(), RNG), IMAGES)
    # and the same through the tables: a flip that never happens
    assert np.array_equal(augment(IMAGES, Augmentation(flip=1e-12), RNG), IMAGES)


def test_flip_is_a_mirror_image() -> None:
    assert np.array_equal(augment(IMAGES, Augmentation(flip=1.0), RNG), IMAGES[:, :, ::-1])


def test_flip_comes_as_often_as_asked() -> None:
    many = np.repeat(IMAGES[:1], 2000, axis=0)
    flipped = (augment(many, Augmentation(flip=0.3), RNG) != many).any(axis=(1, 2, 3))
    assert flipped.mean() == pytest.approx(0.3, abs=0.04)  # 4 standard deviations


@pytest.mark.parametrize("size", [(41, 23), (40, 20)])
def test_shift_moves_by_its_share_and_repeats_the_edge(size: tuple[int, int]) -> None:
    images = IMAGES[:, : size[0], : size[1]]
    down, across = round(0.2 * size[0]), round(0.2 * size[1])
    moved = augment(images, Augmentation(shift=0.2), Extreme())
    expected = np.pad(images, ((0, 0), (0, down), (0, across), (0, 0)), "edge")
    assert np.array_equal(moved, expected[:, down:, across:])


@pytest.mark.parametrize("high", [True, False])
@pytest.mark.parametrize(("rotation", "zoom"), [(10.0, 0.0), (0.0, 0.2), (8.0, 0.15)])
def test_rotation_and_zoom_are_scipys(rotation: float, zoom: float, high: bool) -> None:
    changed = augment(IMAGES, Augmentation(rotation=rotation, zoom=zoom), Extreme(high, 1.0))
    sign = 1 if high else -1
    angle, scale = np.radians(sign * rotation), 1 + sign * zoom
    matrix = scale * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    center = (np.array(IMAGES.shape[1:3]) - 1) / 2
    offset = center - matrix @ center
    for image, found in zip(IMAGES, changed):
        expected = np.stack(
            [
                ndimage.affine_transform(image[..., c], matrix, offset, order=0, mode="nearest")
                for c in range(3)
            ],
            axis=-1,
        )
        differs = (found != expected).any(axis=-1)
        assert differs.mean() < 0.01  # places that lie between two pixels
        assert np.abs(found.astype(int) - expected).max() < 30


@pytest.mark.parametrize("high", [True, False])
def test_light_contrast_and_tint_follow_their_formula(high: bool) -> None:
    how = Augmentation(brightness=0.1, contrast=0.3, tint=0.05)
    sign = 1 if high else -1
    expected = (IMAGES.astype(float) - 128) * (1 + 0.3 * sign) + 128 + 255 * 0.1 * sign
    expected = (expected * (1 + 0.05 * sign)).clip(0, 255)
    found = augment(IMAGES, how, Extreme(high)).astype(float)
    assert np.abs(found - expected).max() <= 0.51


def test_erased_share_lies_in_its_range() -> None:
    white = np.full((300, 60, 40, 3), 255, np.uint8)
    how = Augmentation(erase=1.0, erase_area=(0.05, 0.2))
    share = (augment(white, how, np.random.default_rng(0)) != 255).any(axis=-1).mean(axis=(1, 2))
    # a color of pure white cannot be seen; half a pixel of rounding on each side
    assert (share > 0).mean() > 0.99
    assert 0.03 < share[share > 0].min() < 0.07 and 0.17 < share.max() < 0.23


def test_erasing_paints_one_rectangle_of_one_color() -> None:
    black = np.zeros((50, 60, 40, 3), np.uint8)
    for image in augment(black, Augmentation(erase=1.0), np.random.default_rng(1)):
        rows, columns = np.nonzero(image.any(axis=-1))
        box = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert len(np.unique(box.reshape(-1, 3), axis=0)) == 1


def test_the_same_seed_gives_the_same_changes() -> None:
    strong = AUGMENTATIONS["strong"]
    first, again, other = (augment(IMAGES, strong, np.random.default_rng(s)) for s in (5, 5, 6))
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_the_images_of_a_batch_differ_and_the_input_stays() -> None:
    same = np.repeat(IMAGES[:1], 4, axis=0)
    kept = same.copy()
    changed = augment(same, AUGMENTATIONS["strong"], np.random.default_rng(2))
    assert np.array_equal(same, kept)
    assert len({image.tobytes() for image in changed}) == 4
    assert changed.shape == same.shape and changed.dtype == np.uint8


@pytest.mark.parametrize("strength", ["standard", "strong"])
def test_a_color_stays_nearest_to_its_own_name(strength: str) -> None:
    names = {
        "red": (200, 30, 30), "green": (30, 150, 50), "blue": (40, 60, 190), "black": (20, 20, 20),
        "white": (235, 235, 235), "yellow": (230, 200, 40), "purple": (120, 50, 150),
        "orange": (235, 130, 30), "brown": (110, 70, 40), "grey": (128, 128, 128),
    }  # fmt: skip
    colors = np.array(list(names.values()))
    how = AUGMENTATIONS[strength]
    images = np.broadcast_to(colors[:, None, None, :], (len(colors), 20, 10, 3)).astype(np.uint8)
    wrong = 0
    for seed in range(30):
        changed = augment(images, how, np.random.default_rng(seed))
        middle = np.median(changed.reshape(len(colors), -1, 3), axis=1)  # past an erased rectangle
        nearest = ((middle[:, None] - colors) ** 2).sum(axis=-1).argmin(axis=1)
        wrong += (nearest != np.arange(len(colors))).sum()
    assert wrong / (30 * len(colors)) < {"standard": 0.02, "strong": 0.15}[strength]


def test_signs_are_never_mirrored() -> None:
    assert AUGMENTATIONS["signs"].flip == 0


def test_smooth_moves_agree_with_those_of_nearest_pixels() -> None:
    for options in ({"flip": 1.0}, {"shift": 0.2}, {"zoom": 0.2}, {"rotation": 15.0}):
        one, other = (
            augment(IMAGES, Augmentation(**options, smooth=smooth), np.random.default_rng(5))
            for smooth in (False, True)
        )
        if "shift" not in options:  # drawn in another order: the same only for an image alone
            assert np.abs(one.astype(int) - other).mean() < 8, options
        assert (other != IMAGES).any()


def test_shear_slants_and_keeps_the_middle() -> None:
    line = np.zeros((1, 41, 41, 3), np.uint8)
    line[:, :, 20] = 255
    changed = augment(line, Augmentation(shear=0.2, smooth=True), Extreme())
    brightest = changed[0, :, :, 0].argmax(axis=1)
    assert brightest[20] == 20
    # a fifth of 20 rows, in an image whose width is shrunk by a tenth
    assert abs(brightest[0] - brightest[40]) == pytest.approx(0.2 * 40 / 1.1 / 0.9, abs=2)
