"""The textbook's pre-copy, which is a sixth to a third off, to stand beside the model of QEMU.

Round 0 sends all of the memory, V0 = RAM. Each further round sends what was dirtied during the one
before, V(i+1) = min(W, rate x V(i) / bandwidth), W the working set. Once that is less than
bandwidth x downtime limit, the machine stops for V / bandwidth.

Source: the geometric series of, for instance, Liu et al., "Performance and energy modeling for live
migration of virtual machines", HPDC 2011. Left out: all that `virtlab.migration.qemu.model` has.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from virtlab.migration.qemu import constants as c
from virtlab.migration.qemu.run import Outcome, Round

if TYPE_CHECKING:
    from virtlab.migration.qemu.spec import QemuParameters

__all__ = ["textbook"]


def textbook(spec: QemuParameters, time_limit_s: float = c.TIME_LIMIT_S) -> Outcome:
    """Predict a migration as the textbook does.

    Parameters
    ----------
    spec
        The migration; only its memory, writer, bandwidth and downtime limit count.
    time_limit_s
        When it is cancelled, s.

    Returns
    -------
    Outcome
        In the same form as that of the model of QEMU.

    Examples
    --------
    256 MiB at 64 MiB/s are 4 s, in which 16,000 pages are dirtied, 62.5 MiB; these take 0.98 s, and
    what is dirtied meanwhile 0.24 s, which is less than the limit:

    >>> from virtlab.migration.qemu import QemuParameters
    >>> spec = QemuParameters(ram_mib=256, filled_mib=224, dirty_pages_s=4000, cap_mib_s=64)
    >>> outcome = textbook(spec)
    >>> round(outcome.total_s, 2), round(outcome.downtime_ms), outcome.rounds
    (5.21, 238, 4)
    """
    bandwidth = min(spec.cap_bytes_s, spec.line_bytes_s)
    threshold = bandwidth * spec.downtime_limit_ms / 1000
    left, now_s, sent = float(spec.ram_pages * c.PAGE_BYTES), 0.0, 0.0
    history = [Round(0.0, 0.0, left / c.PAGE_BYTES, 0.0, threshold)]
    while left > threshold and left >= c.PAGE_BYTES and now_s < time_limit_s:
        round_s = left / bandwidth
        now_s += round_s
        sent += left
        pages = min(float(spec.working_set_pages), spec.dirty_pages_s * round_s)
        left = pages * c.PAGE_BYTES
        history.append(Round(now_s, pages, pages, sent, threshold))
    down_s = left / bandwidth
    converged = now_s < time_limit_s
    return Outcome(
        converged=converged,
        total_s=now_s + down_s if converged else time_limit_s,
        sent_bytes=sent + left if converged else bandwidth * time_limit_s,
        downtime_ms=down_s * 1000 if converged else math.nan,
        rounds=len(history) + 1,
        pause_ms=down_s * 1000 if converged else math.nan,
        postcopy_at_s=math.nan,
        history=tuple(history),
    )
