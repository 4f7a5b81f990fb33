"""Auto-converge: QEMU takes the processor from a guest that dirties its memory too fast.

At each reading of the dirty bitmap, at least a second after the last one that counted, QEMU looks
at what got dirty and what was sent meanwhile. If it was more than half as much for the second time,
the guest loses 20 % of its processor, then 10 % more each time, up to 99 %.

One rule for both models of QEMU, `virtlab.migration.algorithms` and `virtlab.migration.qemu`.

Source: QEMU 7.2, `migration/ram.c` (migration_trigger_throttle) and `qapi/migration.json`.
"""

from __future__ import annotations

from dataclasses import dataclass

from virtlab.migration.vm import PAGE_BYTES

__all__ = ["AutoConverge"]

_PERIOD_S = 1.0
_TRIGGER, _TIMES = 0.5, 2
_FIRST, _STEP, _MOST = 0.20, 0.10, 0.99


@dataclass
class AutoConverge:
    """The rule, and what it has seen.

    Attributes
    ----------
    throttle
        Part of its time that the guest is not let run, 0 to 0.99.

    Examples
    --------
    >>> rule = AutoConverge()
    >>> [rule.look(now_s, 64e6 * now_s, 16_000) for now_s in (1.5, 3.0, 4.5, 6.0)]
    [0.0, 0.2, 0.2, 0.3...]
    """

    throttle: float = 0.0
    _since_s: float = 0.0
    _sent_bytes: float = 0.0
    _dirty_pages: float = 0.0
    _times: int = 0

    def look(self, now_s: float, sent_bytes: float, new_pages: float) -> float:
        """Take note of a reading of the bitmap.

        Parameters
        ----------
        now_s
            When, s since the migration began.
        sent_bytes
            All that was sent until then.
        new_pages
            Pages that it added to those still to be sent.

        Returns
        -------
        float
            The throttle from now on.

        Examples
        --------
        >>> AutoConverge(throttle=0.2).look(0.5, 0.0, 1e6)  # too early to tell
        0.2
        """
        self._dirty_pages += new_pages
        if now_s - self._since_s < _PERIOD_S:
            return self.throttle
        if self._dirty_pages * PAGE_BYTES > _TRIGGER * (sent_bytes - self._sent_bytes):
            self._times += 1
            if self._times == _TIMES:
                self._times = 0
                more = _STEP if self.throttle else _FIRST
                self.throttle = min(self.throttle + more, _MOST)
        self._since_s, self._sent_bytes, self._dirty_pages = now_s, sent_bytes, 0.0
        return self.throttle
