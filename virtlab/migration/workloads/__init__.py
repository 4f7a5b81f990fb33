"""How pages get dirty: patterns, writable working sets, and traces of real programs."""

from virtlab.migration.workloads.base import Workload
from virtlab.migration.workloads.curve import Curve
from virtlab.migration.workloads.patterns import HotCold, RoundRobin, Uniform, Zipf
from virtlab.migration.workloads.trace import TRACES, Trace

__all__ = ["TRACES", "Curve", "HotCold", "RoundRobin", "Trace", "Uniform", "Workload", "Zipf"]
