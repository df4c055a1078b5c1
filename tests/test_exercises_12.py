import numpy as np
from PIL import Image, ImageFilter

from helpers.workshop import exercises


def head_of(box):
    ymin, xmin, ymax, xmax = box
    return xmin, ymin, xmax, ymin + (ymax - ymin) // 6


def pixelated(image, box):
    part, copy = image.crop(head_of(box)), image.copy()
    small = part.resize((4, 2), Image.Resampling.BOX)
    copy.paste(small.resize(part.size, Image.Resampling.NEAREST), head_of(box)[:2])
    return copy


def test_faces_are_blurred_or_pixelated_in_a_copy():
    def blurred(image, box):
        copy = image.copy()
        copy.paste(image.crop(head_of(box)).filter(ImageFilter.GaussianBlur(8)), head_of(box)[:2])
        return copy

    def in_place(image, box):
        image.paste(pixelated(image, box))
        return image

    assert exercises.is_right("12-anonymize", blurred)
    assert exercises.is_right("12-anonymize", pixelated)
    assert not exercises.is_right("12-anonymize", in_place)
    assert not exercises.is_right("12-anonymize", lambda image, box: image.copy())
    everything = lambda image, box: image.filter(ImageFilter.GaussianBlur(8))  # noqa: E731
    assert not exercises.is_right("12-anonymize", everything)


def test_a_tight_crop_has_no_margins():
    def tight(image, box, size, margin=0):
        ymin, xmin, ymax, xmax = box
        part = image.crop((xmin, ymin - margin, xmax, ymax))
        return np.asarray(part.resize(size[::-1]))

    assert exercises.is_right("12-tight", tight)
    assert not exercises.is_right("12-tight", lambda *given: tight(*given, margin=12))
    turned = lambda image, box, size: tight(image, box, size[::-1])  # noqa: E731
    assert not exercises.is_right("12-tight", turned)


def test_every_batch_is_full():
    assert exercises.is_right("12-batch", 32)
    assert not exercises.is_right("12-batch", 16)
