"""Who a person is, and how one image of them is taken.

Class frequencies of the eight person attributes are the published counts of the HVC annotations;
those of the colours follow PETA in their order: black, grey, white and blue first.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from data.generate.palette import COLORS, sample_color, sample_denim, sample_several
from data.sources.hvc import COUNTS

# Classes in the order of labels.json, each with its count or fraction.
SHARES: dict[str, dict[str, float]] = {
    "gender": COUNTS["gender"] | {"unknown": 420},  # unknown: 3 % on top of HVC's
    "top_color": dict(
        zip(COLORS, (0.30, 0.13, 0.07, 0.03, 0.13, 0.045, 0.03, 0.05, 0.135, 0.025, 0.035, 0.02))
    ),
    "bottom_color": dict(
        zip(COLORS, (0.35, 0.045, 0.024, 0.018, 0.235, 0.03, 0.02, 0.07, 0.155, 0.018, 0.02, 0.015))
    ),
    **{task: counts for task, counts in COUNTS.items() if task != "gender"},
}
TASKS = tuple(SHARES)
PERSON_TASKS = ("gender", "top_color", "bottom_color", "age", "weight")

CAMERAS = 24
AMBIGUOUS = 0.01  # fraction of people whose gender a viewer would guess wrong half of the time
BORDER = 0.03  # fraction of plain garments whose colour lies between two classes
# How much more often women than people wear a top of that colour, before it is normalised.
LIKED = {"red": 1.8, "purple": 2.6, "other": 2.6, "white": 1.4, "yellow": 1.5, "multicolor": 1.5,
         "orange": 1.2, "blue": 0.5, "grey": 0.6, "brown": 0.7, "green": 0.7}  # fmt: skip
AGES = {"15-25": (15, 25), "25-35": (25, 35), "35-45": (35, 45), "45-55": (45, 55), "55+": (55, 78)}
FATNESS = {
    "underweight": (-0.24, 0.03),
    "normal-healthy": (0.0, 0.04),
    "slightly-overweight": (0.28, 0.06),
    "over-weight": (0.68, 0.1),
}
# Of the people who are drawn clearly: the four builds lie apart.
CLEAR_FATNESS = {
    "underweight": (-0.42, 0.03),
    "normal-healthy": (0.0, 0.04),
    "slightly-overweight": (0.5, 0.06),
    "over-weight": (1.1, 0.1),
}
CLEAR_BAG = 1.32  # times the size of other bags: across a street a bag is a few pixels
SKINS = (
    ((240, 206, 184), 0.30), ((226, 186, 158), 0.28), ((206, 162, 128), 0.17),
    ((168, 120, 86), 0.12), ((118, 80, 56), 0.08), ((84, 58, 44), 0.05),
)  # fmt: skip
HAIRS = (
    ((24, 20, 18), 0.36), ((48, 32, 22), 0.30), ((84, 56, 34), 0.17),
    ((170, 128, 74), 0.12), ((128, 58, 28), 0.05),
)  # fmt: skip


@dataclass(frozen=True)
class Garment:
    """A piece of clothing: its cut, its sRGB colours (0..255), the first one the main one."""

    cut: str
    colors: tuple[tuple[float, float, float], ...]
    pattern: str = "plain"
    seed: int = 0
    period: float = 0.03  # of a pattern, in statures
    logo: bool = False


@dataclass(frozen=True)
class Look:
    """What a person keeps from image to image."""

    truth: dict[str, str]  # the classes of PERSON_TASKS
    femininity: float  # 0 shoulders wider than hips, 1 the other way round
    age: float  # years as they show
    fatness: float  # -0.25 thin .. 0.7 heavy; drawn clearly -0.4 .. 1.1
    stature: float  # metres
    skin: tuple[float, float, float]
    hair: tuple[float, float, float]
    hairstyle: str
    beard: float  # 0 none, 1 full
    headwear: str
    glasses: bool
    top: Garment
    bottom: Garment
    shoes: str
    shoe_color: tuple[float, float, float]
    bag: str  # the class of carryingbag that they mostly carry
    bag_kinds: dict[str, str] = field(default_factory=dict)
    bag_color: tuple[float, float, float] = (40.0, 40.0, 40.0)
    scarf: tuple[float, float, float] | None = None
    left_handed: bool = False
    bag_size: float = 1.0  # times the usual one


@dataclass(frozen=True)
class View:
    """How one image is taken."""

    truth: dict[str, str]  # all tasks
    camera: int
    yaw: float  # radians, 0 faces the camera
    head_turn: float
    phase: float
    stride: float
    arms: tuple[str, str]
    bag_kind: str  # none, backpack, messenger, handbag, briefcase, plastic, paper
    hide_feet: str  # none, frame, wall, car, bench, hedge
    fill: float  # fraction of the image's height that the person takes
    shift: float
    seed: int


def draw(rng: np.random.Generator, shares: dict[str, float]) -> str:
    """Draws a class with probabilities in proportion to `shares`."""
    dice = rng.random() * sum(shares.values())
    for name, share in shares.items():
        dice -= share
        if dice < 0:
            return name
    return name


def sample_look(rng: np.random.Generator, clear: bool = False) -> Look:
    """Draws a person; a clear one shows age, build and bag more than in life."""
    truth = {task: draw(rng, SHARES[task]) for task in PERSON_TASKS}
    truth["top_color"] = draw(rng, _top_shares(truth["gender"]))
    seems = _seeming_gender(rng, truth["gender"])
    frame = {"male": 0.03, "female": 0.97, "neither": 0.5}[seems] + rng.normal(0, 0.1)
    years = float(rng.uniform(*AGES[truth["age"]]) + rng.normal(0, 2.5))
    mean, spread = (CLEAR_FATNESS if clear else FATNESS)[truth["weight"]]
    thinnest, heaviest = (-0.48, 1.35) if clear else (-0.3, 0.95)
    top = _sample_top(rng, truth, seems, years, clear)
    bottom = _sample_bottom(rng, truth, seems, years, top)
    fancy = rng.random() < 2507 / (2507 + 6038)
    shoes, shoe_color = _sample_shoes(rng, seems, fancy, years)
    hair, style, beard, headwear = _sample_head(rng, seems, years, clear)
    scarf = _sample_scarf(rng, seems)
    if truth["gender"] == "unknown":  # covered up
        beard, headwear = 0.0, "hood"
    return Look(
        truth=truth,
        femininity=float(np.clip(frame, 0, 1)),
        age=years,
        fatness=float(np.clip(rng.normal(mean, spread), thinnest, heaviest)),
        stature=float(rng.normal(1.80 - 0.15 * frame, 0.05) - max(0, years - 55) * 0.002),
        skin=_pick(rng, SKINS),
        hair=hair,
        hairstyle=style,
        beard=beard,
        headwear=headwear,
        glasses=bool(rng.random() < (0.12 if years < 40 else 0.35)),
        top=top,
        bottom=bottom,
        shoes=shoes,
        shoe_color=shoe_color,
        bag=draw(rng, SHARES["carryingbag"]),
        bag_kinds=_sample_bag_kinds(rng, seems, years),
        bag_color=_sample_bag_color(rng),
        scarf=scarf,
        left_handed=bool(rng.random() < 0.5),
        bag_size=CLEAR_BAG if clear else 1.0,
    )


def _top_shares(gender: str) -> dict[str, float]:
    """Returns the frequencies of top colours for a gender; overall they are those of SHARES."""
    shares = SHARES["top_color"]
    if gender == "unknown":
        return shares
    women = SHARES["gender"]["female"] / (SHARES["gender"]["female"] + SHARES["gender"]["male"])
    hers = {name: share * LIKED.get(name, 1.0) for name, share in shares.items()}
    total = sum(hers.values())
    if gender == "female":
        return hers
    whole = sum(shares.values())
    return {n: max(s / whole - women * hers[n] / total, 0.0) for n, s in shares.items()}


def sample_view(rng: np.random.Generator, look: Look) -> View:
    """Draws one image of a person: pose, place, light and what can be seen."""
    truth = dict(look.truth)
    truth["imagequality"] = draw(rng, SHARES["imagequality"])
    truth["bodypose"] = _sample_pose(rng, look)
    truth["emotion"] = _sample_emotion(rng, truth["bodypose"])
    truth["carryingbag"] = look.bag if rng.random() < 0.8 else draw(rng, SHARES["carryingbag"])
    hidden = rng.random() < 5028 / 13573
    truth["footwear"] = "CantSee" if hidden else look_footwear(look)
    bag_kind = look.bag_kinds[truth["carryingbag"]]
    return View(
        truth=truth,
        camera=_sample_camera(rng, truth["imagequality"]),
        yaw=_sample_yaw(rng, truth["bodypose"]),
        head_turn=float(rng.normal(0, 0.18)),
        phase=float(rng.uniform(0, 2 * np.pi)),
        stride=_sample_stride(rng, look),
        arms=_sample_arms(rng, look, bag_kind),
        bag_kind=bag_kind,
        hide_feet=draw(rng, HIDES) if hidden else "none",
        fill=float(np.clip(0.9 * look.stature / 1.74 + rng.normal(0, 0.015), 0.76, 0.96)),
        shift=float(np.clip(rng.normal(0, 0.03), -0.06, 0.06)),
        seed=int(rng.integers(2**31)),
    )


HIDES = {"frame": 0.5, "wall": 0.16, "car": 0.14, "bench": 0.1, "hedge": 0.1}


def look_footwear(look: Look) -> str:
    """Returns the class of a person's shoes where they can be seen."""
    return "Normal" if look.shoes in ("leather", "trainers", "ankle boots") else "Fancy"


def mask_hidden(view: View) -> View:
    """Returns the view with an emotion that nobody can see from the back set to Neutral."""
    if view.truth["bodypose"] != "Back":
        return view
    return replace(view, truth=view.truth | {"emotion": "Neutral"})


def _seeming_gender(rng: np.random.Generator, gender: str) -> str:
    if gender == "unknown" or rng.random() < AMBIGUOUS:
        return "neither"
    return gender


def _pick(rng: np.random.Generator, weighted: tuple) -> tuple[float, float, float]:
    values, weights = zip(*weighted)
    color = np.asarray(values[int(rng.choice(len(values), p=np.asarray(weights)))], float)
    return tuple(np.clip(color * rng.uniform(0.93, 1.07), 3, 250))


def _garment_colors(rng: np.random.Generator, name: str, denim: bool) -> tuple:
    if name == "multicolor":
        return tuple(map(tuple, sample_several(rng)))
    if name == "blue" and denim:
        return (tuple(sample_denim(rng)),)
    return (tuple(sample_color(rng, name, BORDER)),)


def _sample_pattern(rng: np.random.Generator, name: str) -> str:
    if name == "multicolor":
        return draw(rng, {"stripes": 0.34, "blocks": 0.26, "checks": 0.24, "print": 0.16})
    return draw(rng, {"plain": 0.78, "ton stripes": 0.09, "ton checks": 0.07, "heather": 0.06})


def _sample_period(rng: np.random.Generator, name: str, least: float, most: float) -> float:
    # The colours of a multicolor garment must be seen apart from across the street.
    return float(rng.uniform(0.05, 0.09) if name == "multicolor" else rng.uniform(least, most))


TOP_CUTS = {
    "male": {"t-shirt": 0.2, "shirt": 0.17, "sweater": 0.13, "hoodie": 0.13, "jacket": 0.17,
             "blazer": 0.09, "coat": 0.03, "puffer": 0.08},
    "female": {"blouse": 0.3, "fitted tee": 0.2, "tank": 0.09, "fitted jacket": 0.17,
               "coat": 0.12, "sweater": 0.03},
    "neither": {"t-shirt": 0.2, "sweater": 0.3, "hoodie": 0.2, "jacket": 0.3},
    "unknown": {"hoodie": 0.4, "puffer": 0.3, "coat": 0.3},
}  # fmt: skip
# Women and men are easier to tell apart than in life: a few thousand images must be enough.
BOTTOM_CUTS = {
    "male": {"jeans": 0.49, "trousers": 0.38, "shorts": 0.05, "joggers": 0.08},
    "female": {"slim": 0.09, "skirt": 0.4, "long skirt": 0.26, "dress": 0.25},
    "neither": {"jeans": 0.5, "slim": 0.25, "trousers": 0.25},
}  # fmt: skip


# How much more often the young and the old wear a cut, and all other cuts (the last number).
YOUNG_CUTS = {"hoodie": 2.6, "t-shirt": 1.6, "fitted tee": 1.6, "tank": 1.6}, 0.7
OLD_CUTS = {"coat": 2.6, "blazer": 1.8, "shirt": 1.5, "blouse": 1.4}, 0.5
CLEAR_YOUNG_CUTS = {"hoodie": 5.0, "t-shirt": 4.0, "fitted tee": 4.0, "tank": 4.0}, 0.3
CLEAR_OLD_CUTS = {"coat": 4.0, "blazer": 3.0, "shirt": 2.0, "blouse": 2.0}, 0.3


def _sample_top(
    rng: np.random.Generator, truth: dict, seems: str, years: float, clear: bool
) -> Garment:
    cuts = dict(TOP_CUTS["unknown" if truth["gender"] == "unknown" else seems])
    if years < 27 or years > 46:
        of_clear = CLEAR_YOUNG_CUTS if years < 27 else CLEAR_OLD_CUTS
        liked, others = of_clear if clear else YOUNG_CUTS if years < 27 else OLD_CUTS
        cuts = {cut: share * liked.get(cut, others) for cut, share in cuts.items()}
    cut = draw(rng, cuts)
    name = truth["top_color"]
    return Garment(
        cut=cut,
        colors=_garment_colors(rng, name, denim=False),
        pattern=_sample_pattern(rng, name),
        seed=int(rng.integers(2**31)),
        period=_sample_period(rng, name, 0.022, 0.06),
        logo=bool(cut in ("t-shirt", "fitted tee", "hoodie", "sweater") and rng.random() < 0.45),
    )


def _sample_bottom(
    rng: np.random.Generator, truth: dict, seems: str, years: float, top: Garment
) -> Garment:
    name, cuts = truth["bottom_color"], dict(BOTTOM_CUTS[seems])
    if top.cut in ("puffer", "coat", "hoodie"):
        cuts.pop("dress", None)
        cuts.pop("shorts", None)
    if top.cut == "coat":  # would hide it
        cuts.pop("skirt", None)
    if name != truth["top_color"]:
        cuts.pop("dress", None)
    elif "dress" in cuts:
        cuts["dress"] *= 6
    if years > 50:
        cuts.pop("shorts", None)
    cut = draw(rng, cuts)
    colors = _garment_colors(rng, name, denim=cut in ("jeans", "slim", "shorts"))
    pattern = _sample_pattern(rng, name)
    if cut == "dress":  # one piece of cloth from shoulder to hem
        colors, pattern = top.colors, top.pattern
    return Garment(
        cut, colors, pattern, int(rng.integers(2**31)), _sample_period(rng, name, 0.03, 0.07)
    )


def _sample_shoes(rng: np.random.Generator, seems: str, fancy: bool, years: float) -> tuple:
    if not fancy:
        kind = draw(rng, {"leather": 0.3 + years / 150, "trainers": 0.35, "ankle boots": 0.2})
        base = ((24, 23, 24), (30, 28, 28), (66, 44, 30), (74, 74, 78), (40, 40, 52))
        return kind, tuple(np.asarray(base[rng.integers(5)], float))
    kinds = {"bright sneakers": 0.75, "boots": 0.25}
    if seems == "female":
        kinds = {"heels": 0.4, "boots": 0.3, "bright sneakers": 0.3}
    kind = draw(rng, kinds)
    bright = ((245, 245, 245), (230, 40, 50), (60, 210, 230), (190, 235, 40), (250, 120, 30))
    tall = ((150, 92, 48), (26, 24, 26), (120, 30, 40), (200, 170, 130))
    if kind == "bright sneakers":
        return kind, tuple(np.asarray(bright[rng.choice(5, p=(0.5, 0.15, 0.1, 0.1, 0.15))], float))
    if kind == "heels":
        tall = tall + ((200, 30, 40), (235, 200, 180))
    return kind, tuple(np.asarray(tall[rng.integers(len(tall))], float))


HAIRSTYLES = {
    "male": {"short": 0.56, "crop": 0.34, "curly": 0.09, "shoulder": 0.01},
    "female": {"long": 0.93, "shoulder": 0.04, "ponytail": 0.01, "bun": 0.01, "bob": 0.01},
    "neither": {"short": 0.3, "bob": 0.3, "curly": 0.2, "shoulder": 0.2},
}


def _sample_hair(rng: np.random.Generator, years: float, clear: bool) -> tuple:
    hair = np.asarray(_pick(rng, HAIRS))
    if clear:  # gray between 34 and 48, and at the same years for all
        seen = years + rng.normal(0, 2)
        grey = np.clip((seen - 34) / 14, 0, 1)
        silver = np.interp(seen, (44, 56), (120, 225))
    else:
        grey = 1 / (1 + np.exp(-(years - 52 + rng.normal(0, 3)) / 3.5))
        silver = rng.uniform(150, 222)
    return tuple(hair * (1 - grey) + np.full(3, silver) * (1.0, 1.0, 1.02) * grey)


def _sample_head(rng: np.random.Generator, seems: str, years: float, clear: bool) -> tuple:
    hair = _sample_hair(rng, years, clear)
    style = draw(rng, HAIRSTYLES[seems])
    if seems == "male" and rng.random() < np.clip((years - 32) / 45, 0, 0.6):
        style = "bald" if rng.random() < 0.4 else "receding"
    if seems == "female" and years > 55 and rng.random() < 0.05:
        style = "bob" if rng.random() < 0.7 else "curly"
    beard = float(rng.uniform(0.5, 1)) if seems == "male" and rng.random() < 0.6 else 0.0
    hats = {"none": 0.88, "cap": 0.06 if years < 45 else 0.03, "beanie": 0.04}
    if clear:
        hats = {"none": 0.88, "cap": 0.3 if years < 25 else 0.02, "beanie": 0.02}
    hats["headscarf"] = 0.06 if seems == "female" else 0.0
    return hair, style, beard, draw(rng, hats)


def _sample_bag_kinds(rng: np.random.Generator, seems: str, years: float) -> dict[str, str]:
    kinds = {"backpack": 0.5, "messenger": 0.3, "briefcase": 0.2, "handbag": 0.0}
    if seems == "female":
        kinds = {"backpack": 0.25, "messenger": 0.2, "briefcase": 0.05, "handbag": 0.5}
    if years < 27:
        kinds["backpack"] *= 2.5
    return {
        "None": "none",
        "Daily/Office/Work Bag": draw(rng, kinds),
        "Grocery/Home/Plastic Bag": draw(rng, {"plastic": 0.7, "paper": 0.3}),
    }


def _sample_bag_color(rng: np.random.Generator) -> tuple[float, float, float]:
    names = {"black": 0.4, "brown": 0.25, "grey": 0.1, "blue": 0.1, "red": 0.1, "other": 0.05}
    return tuple(sample_color(rng, draw(rng, names), 0.3))


def _sample_scarf(rng: np.random.Generator, seems: str) -> tuple[float, float, float] | None:
    if rng.random() > (0.14 if seems == "female" else 0.06):
        return None
    names = ("red", "grey", "blue", "other", "purple", "black", "white", "green")
    return tuple(sample_color(rng, names[rng.integers(len(names))], 0.2))


def _sample_pose(rng: np.random.Generator, look: Look) -> str:
    # Nobody can tell the gender of somebody who is mostly seen from behind; the others make up
    # for those images, so that the overall frequencies stay the published ones.
    shares = dict(SHARES["bodypose"])
    hidden = 420 / 13993
    if look.truth["gender"] == "unknown":
        return draw(rng, {"Front-Frontish": 0.35, "Side": 0.22, "Back": 0.43})
    total = 13573.0
    shares["Front-Frontish"] = (8383 / total - 0.35 * hidden) / (1 - hidden)
    shares["Side"] = (2983 / total - 0.22 * hidden) / (1 - hidden)
    shares["Back"] = (2207 / total - 0.43 * hidden) / (1 - hidden)
    return draw(rng, shares)


def _sample_emotion(rng: np.random.Generator, bodypose: str) -> str:
    if bodypose == "Back":
        return "Neutral"
    shares = dict(SHARES["emotion"])
    shares["Neutral"] -= 2207  # the images from the back, all of them Neutral
    return draw(rng, shares)


def _sample_yaw(rng: np.random.Generator, bodypose: str) -> float:
    side = 1 if rng.random() < 0.5 else -1
    if bodypose == "Front-Frontish":
        return float(side * min(abs(rng.normal(0, 0.38)), 0.85))
    if bodypose == "Side":
        return float(side * (np.pi / 2 + np.clip(rng.normal(0, 0.22), -0.5, 0.5)))
    return float(np.pi + side * min(abs(rng.normal(0, 0.35)), 0.75))


def _sample_stride(rng: np.random.Generator, look: Look) -> float:
    if rng.random() < 0.25:
        return float(rng.uniform(0.02, 0.1))  # stands
    slow = np.clip((look.age - 50) / 60, 0, 0.4)
    return float(rng.uniform(0.28, 0.52) * (1 - slow))


def _sample_arms(rng: np.random.Generator, look: Look, bag_kind: str) -> tuple[str, str]:
    free = {"swing": 0.68, "pocket": 0.12, "phone": 0.12, "bent": 0.08}
    arms = [draw(rng, free), draw(rng, free | {"phone": 0.04})]
    carrying = int(look.left_handed)
    if bag_kind in ("plastic", "paper", "briefcase"):
        arms[carrying] = "carry"
    elif rng.random() < {"handbag": 0.5, "messenger": 0.5, "backpack": 0.25}.get(bag_kind, 0.0):
        arms[carrying] = "strap"
    return arms[0], arms[1]


def _sample_camera(rng: np.random.Generator, quality: str) -> int:
    # Cameras with a high number are the poorer ones.
    mean = {"Good": 6, "Average": 12, "Bad": 18}[quality]
    return int(np.clip(np.round(rng.normal(mean, 6)), 0, CAMERAS - 1))
