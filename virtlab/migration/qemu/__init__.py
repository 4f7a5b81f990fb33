"""Live migrations of real QEMU, predicted from their parameters, beside 167 that were measured."""

from virtlab.migration.qemu.measured import (
    QemuComparison,
    against_measured,
    effects,
    hold_out,
    place_unknown,
)
from virtlab.migration.qemu.model import QemuModel, QemuPrediction, predict
from virtlab.migration.qemu.runs import predict_all
from virtlab.migration.qemu.spec import PATTERNS, QemuParameters
from virtlab.migration.qemu.textbook import textbook

__all__ = [
    "PATTERNS",
    "QemuComparison",
    "QemuModel",
    "QemuParameters",
    "QemuPrediction",
    "against_measured",
    "effects",
    "hold_out",
    "place_unknown",
    "predict",
    "predict_all",
    "textbook",
]
