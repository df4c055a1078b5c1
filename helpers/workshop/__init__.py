"""The notebooks: their exercises, the check of the machine, and what runs them all."""

from helpers.common import front_door

__getattr__, __dir__, __all__ = front_door(__name__, {"environment": ["read_requirements"]})
