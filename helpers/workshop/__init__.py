"""The notebooks: their exercises, the check of the machine, and what runs them all."""

from typing import TYPE_CHECKING

from helpers.common import front_door

if TYPE_CHECKING:
    from helpers.workshop.environment import read_requirements
    from helpers.workshop.exercises import Exercise, near

__getattr__, __dir__, __all__ = front_door(__name__, __file__)
