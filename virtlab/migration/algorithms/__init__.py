"""The algorithms: each a small class with a `name` and a `run(move)`."""

from virtlab.migration.algorithms.base import Algorithm
from virtlab.migration.algorithms.clark import Clark
from virtlab.migration.algorithms.deck import Deck
from virtlab.migration.algorithms.postcopy import Hybrid, PostCopy
from virtlab.migration.algorithms.pushing import Bubbling, InOrder, NoPush, Pushing
from virtlab.migration.algorithms.qemu import QemuPreCopy
from virtlab.migration.algorithms.stop import StopAndCopy

__all__ = [
    "Algorithm",
    "Bubbling",
    "Clark",
    "Deck",
    "Hybrid",
    "InOrder",
    "NoPush",
    "PostCopy",
    "Pushing",
    "QemuPreCopy",
    "StopAndCopy",
]
