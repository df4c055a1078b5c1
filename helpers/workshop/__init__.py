"""The notebooks: their exercises, the check of the machine, and what runs them all."""

from helpers.workshop.environment import read_requirements

__all__ = ["read_requirements"]
