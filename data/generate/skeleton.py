"""The joints of a walking or standing body, in three dimensions.

Lengths are in statures (1 is the height of the person). x points to the person's left, y up,
z ahead. Proportions: a body of 7.4 heads, after the segment lengths of Drillis and Contini (1966)
as given in Winter, Biomechanics and Motor Control of Human Movement.
"""

from dataclasses import dataclass

import numpy as np

from data.generate.looks import Look, View

SHANK, THIGH, UPPER_ARM, FOREARM, FOOT = 0.235, 0.24, 0.172, 0.146, 0.1
ANKLE = 0.04


@dataclass(frozen=True)
class Skeleton:
    """Joint positions, each (3,) float. Lists hold right (index 0) and left (index 1)."""

    hips: list[np.ndarray]
    knees: list[np.ndarray]
    ankles: list[np.ndarray]
    toes: list[np.ndarray]
    shoulders: list[np.ndarray]
    elbows: list[np.ndarray]
    wrists: list[np.ndarray]
    hands: list[np.ndarray]
    rise: float  # how far the hips are above those of the body at attention
    lean: float
    stoop: float
    spread: float  # widest distance of a knee from the body's middle plane, along z

    def spine(self, y: np.ndarray) -> np.ndarray:
        """Returns how far ahead (z) the trunk's axis is at heights `y` of the upright body."""
        y = np.asarray(y, float)
        return self.lean * (y - 0.5) + self.stoop * np.clip(y - 0.62, 0, None) ** 2 * 4


def pose_body(look: Look, view: View) -> Skeleton:
    """Places the joints for a look and a view."""
    wide = max(look.fatness, 0)
    stoop = float(np.clip((look.age - 46) / 26, 0, 1.1)) * 0.3
    lean = 0.02 + 0.1 * view.stride + 0.06 * stoop
    rise, legs = _pose_legs(look, view)
    half = 0.105 - 0.024 * look.femininity + 0.028 * wide + 0.05 * min(look.fatness, 0)
    arms: list[list[np.ndarray]] = [[], [], [], []]
    ahead = lean * 0.29 + stoop * 0.17**2 * 4
    for side, sign in enumerate((-1, 1)):
        shoulder = np.array([sign * half, 0.784 + rise - 0.03 * stoop, ahead])
        for joints, joint in zip(arms, _pose_arm(look, view, side, sign, shoulder)):
            joints.append(joint)
    spread = max(abs(knee[2]) for knee in legs[1])
    return Skeleton(*legs, *arms, rise=rise, lean=lean, stoop=stoop, spread=spread)


def _pose_legs(look: Look, view: View) -> tuple[float, list[list[np.ndarray]]]:
    joints: list[list[np.ndarray]] = [[], [], [], []]
    half = 0.045 + 0.014 * max(look.fatness, 0)
    heel = 0.035 if look.shoes == "heels" else 0.0
    for sign, turn in ((-1, 0.0), (1, np.pi)):
        swing = view.stride * np.sin(view.phase + turn)
        bend = 0.07 + 1.5 * view.stride * max(0.0, np.cos(view.phase + turn)) ** 1.5
        hip = np.array([sign * half, 0.515, 0.0])
        knee = hip + THIGH * np.array([sign * 0.02, -np.cos(swing), np.sin(swing)])
        shin = swing - bend
        ankle = knee + SHANK * np.array([-sign * 0.05, -np.cos(shin), np.sin(shin)])
        pitch = np.clip(-shin - 0.12, 0, 0.9) + (0.5 if heel else 0.0)
        toe = ankle + FOOT * np.array([sign * 0.18, -np.sin(pitch), np.cos(pitch)])
        toe[1] -= 0.018
        for place, joint in zip(joints, (hip, knee, ankle, toe)):
            place.append(joint)
    lowest = min(min(a[1] - ANKLE - heel for a in joints[2]), min(t[1] - 0.02 for t in joints[3]))
    for place in joints:
        for joint in place:
            joint[1] -= lowest
    return -lowest, joints


def _pose_arm(
    look: Look, view: View, side: int, sign: int, shoulder: np.ndarray
) -> tuple[np.ndarray, ...]:
    swing = -view.stride * 0.85 * np.sin(view.phase + (np.pi if side else 0.0)) * 0.9
    out = 0.07 + 0.16 * max(look.fatness, 0) + 0.05 * (1 - look.femininity)
    bend, inward = 0.25 + 0.4 * view.stride, 0.1
    swing, out, bend, inward = {
        "swing": (swing, out, bend, inward),
        "carry": (swing * 0.2, out, 0.06, 0.0),
        "pocket": (-0.35, out + 0.2, 0.75, 0.42),
        "phone": (0.35, out, 1.75, 0.45),
        "bent": (0.15, out, 1.3, 0.6),
        "strap": (0.15, out + 0.06, 2.35, 0.25),
    }[view.arms[side]]
    upper = np.array([sign * np.sin(out), -np.cos(swing) * np.cos(out), np.sin(swing)])
    elbow = shoulder + UPPER_ARM * upper / np.linalg.norm(upper)
    angle = swing + bend
    lower = np.array([sign * (np.sin(out) * 0.6 - inward), -np.cos(angle), np.sin(angle)])
    lower /= np.linalg.norm(lower)
    wrist = elbow + FOREARM * lower
    return shoulder, elbow, wrist, wrist + 0.05 * lower
