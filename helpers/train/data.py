"""What a run takes from its manifest, read once: everything later works with this."""

from collections.abc import Sequence
from dataclasses import dataclass

from helpers.manifest import Labels, Manifest, check_split, describe_split


@dataclass(frozen=True)
class Data:
    """The images of a run in their two parts, and their labels."""

    labels: Labels
    training: Manifest
    validation: Manifest
    description: dict[str, int | str]  # see `describe_split`

    def select(self, tasks: Sequence[str]) -> "Data":
        """Returns the data with only these tasks."""
        if tasks == self.training.tasks:
            return self
        parts = self.training.select(tasks), self.validation.select(tasks)
        return Data(self.labels.select(tasks), *parts, describe_split(*parts))


def read_data(manifest: Manifest) -> Data:
    """Checks the split of a manifest, and divides it; raises `ManifestError` where it is none."""
    check_split(manifest)
    training, validation = manifest.subset("train"), manifest.subset("validation")
    return Data(manifest.labels, training, validation, describe_split(training, validation))
