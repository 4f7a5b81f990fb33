"""Does a VM fit? What a host's memory is needed for, reckoned in two ways, and admission (S23).

Before a VM starts, the host reserves what it can't do without. The talk's slide adds up, in MB:

    24 for the VMkernel, 192 for the Service Console (サービスコンソール), 64 of overhead for each
    VM with two processors, 6 % of each VM's maximum, kept free, and the maximums themselves.

For its three VMs of 512 MB that is 2036.2 MB. The administration guide keeps 6 % of the overhead
free too: 24 + console + 1.06 * sum(maximum + overhead), which makes 2047.7 MB: a host of 2 GB,
to the last megabyte. Both ways reserve all that the VMs may ever use.

**Admission** (受付制御) asks for less, because memory can be taken from a VM down to its minimum. A
VM starts if

    its minimum + its overhead fit into memory that is not reserved yet, and
    its maximum - its minimum fit into swap that is not reserved yet.

So whatever happens, a VM has its minimum, and what is taken from it has a place on disk. The 6 %
are not reserved here: balloons get them from what VMs have above their minimums.

How large overhead and console are is in `virtlab.memory.overhead`. A megabyte is 2**20 bytes here,
MiB in names.

What it leaves out: sharing, but for `Admission.needs_mib`.

Sources: VMware ESX Server 2.1 Administration Guide (2004), pp. 425-427 (the
guide's way); C. Waldspurger, "Memory resource management in VMware ESX Server", OSDI 2002, section
6.2 (admission). Swap as large as the host's memory is the guide's default.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from virtlab.memory.overhead import VMKERNEL_MIB, console_size_mib, overhead_mib
from virtlab.results import Result, plain
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["FREE_PART", "Admission", "VmMemory", "admit"]

FREE_PART = 0.06  # of memory, which a host keeps free
_CONSOLE_MOST_MIB = 800.0


@dataclass(frozen=True)
class VmMemory:
    """What a VM asks for.

    Attributes
    ----------
    name
        Its name.
    min_mib, max_mib
        What it has in any case, and at most.
    vcpus
        Virtual processors, 1 or 2.

    Examples
    --------
    >>> VmMemory("web", min_mib=256, max_mib=512, vcpus=2).overhead_mib
    64.0
    >>> VmMemory("web", min_mib=600, max_mib=512)
    Traceback (most recent call last):
    virtlab.validate.InvalidInputError: min_mib = 600: must be at most max_mib, 512
    """

    name: str
    min_mib: float
    max_mib: float
    vcpus: int = 1

    def __post_init__(self) -> None:
        """Check all."""
        if number("max_mib", self.max_mib, minimum=0) == 0:
            raise InvalidInputError("max_mib", self.max_mib, "above 0")
        if number("min_mib", self.min_mib, minimum=0) > self.max_mib:
            raise InvalidInputError("min_mib", self.min_mib, f"at most max_mib, {self.max_mib:g}")
        integer("vcpus", self.vcpus, minimum=1, maximum=2)

    @property
    def overhead_mib(self) -> float:
        """What the host needs to run it, besides its memory."""
        return overhead_mib(self.max_mib, self.vcpus)


@dataclass(frozen=True, eq=False)
class Admission(Result):
    """Which VMs may start on a host, and what the others lack.

    Attributes
    ----------
    vms
        In the order in which they asked.
    host_mib, console_mib, swap_mib
        Memory of the host, of its Service Console, and its room for swapped pages.
    lacks_ram_mib, lacks_swap_mib
        What each VM lacks: 0 and 0 for one that starts.

    Examples
    --------
    >>> result = admit([VmMemory(f"VM{i}", 512, 512, 2) for i in (1, 2, 3)], host_mib=2048)
    >>> print(result.explain())
    VM1, VM2, VM3 start: 1728 of 1832 MB that the VMkernel and the console leave are reserved. \
With maximum memory, the 3 VMs asking need 2036.2 MB by the talk's way, 2047.7 MB by the guide's: \
of 2048 MB, both fit.
    """

    vms: tuple[VmMemory, ...]
    host_mib: float
    console_mib: float
    swap_mib: float
    lacks_ram_mib: NDArray[np.float64]
    lacks_swap_mib: NDArray[np.float64]

    @property
    def admitted(self) -> NDArray[np.bool_]:
        """Whether each VM starts."""
        lacks = self.lacks_ram_mib + self.lacks_swap_mib
        return np.equal(lacks, 0.0)

    @property
    def parts_mib(self) -> dict[str, tuple[float, float]]:
        """What memory is needed for, by the talk's way and by the guide's."""
        most = sum(vm.max_mib for vm in self.vms)
        over = sum(vm.overhead_mib for vm in self.vms)
        return {
            "VMkernel": (VMKERNEL_MIB, VMKERNEL_MIB),
            "Service Console": (self.console_mib, self.console_mib),
            "overhead": (over, over),
            "kept free": (FREE_PART * most, FREE_PART * (most + over)),
            "VMs": (most, most),
        }

    @property
    def talk_mib(self) -> float:
        """What all VMs need with their maximums, 6 % of these kept free."""
        return sum(talk for talk, _ in self.parts_mib.values())

    @property
    def guide_mib(self) -> float:
        """What all VMs need with their maximums, 6 % of these and of the overhead kept free."""
        return sum(guide for _, guide in self.parts_mib.values())

    def needs_mib(self, sharing: float = 0.0) -> float:
        """Return the guide's sum if page sharing saves a part of the VMs' memory.

        Parameters
        ----------
        sharing
            The part that is saved, from 0 to 1.

        Returns
        -------
        float
            Megabytes.

        Raises
        ------
        InvalidInputError
            If the part is out of range.

        Examples
        --------
        The guide's example: eight VMs of 512 MB.

        >>> result = admit([VmMemory(f"VM{i}", 256, 512) for i in range(8)], host_mib=4096)
        >>> [round(result.needs_mib(part)) - 4096 for part in (0, 0.1, 0.25)]
        [920, 510, -104]
        """
        part = number("sharing", sharing, minimum=0, maximum=1)
        return self.guide_mib - part * sum(vm.max_mib for vm in self.vms)

    def to_frame(self) -> pd.DataFrame:
        """Return one row a VM."""
        import pandas as pd

        return pd.DataFrame(
            {
                "name": [vm.name for vm in self.vms],
                "min_mib": [float(vm.min_mib) for vm in self.vms],
                "max_mib": [float(vm.max_mib) for vm in self.vms],
                "vcpus": [vm.vcpus for vm in self.vms],
                "overhead_mib": [vm.overhead_mib for vm in self.vms],
                "ram_mib": [vm.min_mib + vm.overhead_mib for vm in self.vms],
                "swap_mib": [float(vm.max_mib - vm.min_mib) for vm in self.vms],
                "admitted": self.admitted,
                "lacks_ram_mib": self.lacks_ram_mib,
                "lacks_swap_mib": self.lacks_swap_mib,
            }
        )

    def summary(self) -> dict[str, float | int | str]:
        """Return both sums, what is reserved, and how many VMs start."""
        frame = self.to_frame()
        starts = frame[frame["admitted"]]
        return {
            "talk_mib": round(self.talk_mib, 1),
            "guide_mib": round(self.guide_mib, 1),
            "host_mib": self.host_mib,
            "console_mib": self.console_mib,
            "swap_mib": self.swap_mib,
            "reserved_ram_mib": float(starts["ram_mib"].sum()),
            "reserved_swap_mib": float(starts["swap_mib"].sum()),
            "vms": len(self.vms),
            "admitted": len(starts),
        }

    def to_json(self) -> dict[str, Any]:
        """Return the summary, who fits, what the others lack, what each way lacks, and the rows.

        Examples
        --------
        >>> data = admit([VmMemory("db", 900, 900), VmMemory("web", 64, 64)], 1024).to_json()
        >>> data["fits"], data["lacks"]
        (['web'], [{'name': 'db', 'ram_mib': 158.125, 'swap_mib': 0.0}])
        >>> data["talk_fits"], data["talk_lacks_mib"]
        (False, 333.965)
        """
        told = super().to_json()
        rows = told.pop("rows")
        return {
            **told,
            "fits": [row["name"] for row in rows if row["admitted"]],
            "lacks": [
                {
                    "name": row["name"],
                    "ram_mib": row["lacks_ram_mib"],
                    "swap_mib": row["lacks_swap_mib"],
                }
                for row in rows
                if not row["admitted"]
            ],
            "talk_fits": self.talk_mib <= self.host_mib,
            "guide_fits": self.guide_mib <= self.host_mib,
            "talk_lacks_mib": round(max(self.talk_mib - self.host_mib, 0.0), 6),
            "guide_lacks_mib": round(max(self.guide_mib - self.host_mib, 0.0), 6),
            "rows": plain(rows),
        }

    def explain(self) -> str:
        """Say who starts, what the others lack, and what both ways add up to."""
        told = self.summary()
        free = self.host_mib - VMKERNEL_MIB - self.console_mib
        names = [vm.name for vm, starts in zip(self.vms, self.admitted, strict=True) if starts]
        who = _listed(names) + (" starts" if len(names) == 1 else " start")
        head = (
            f"{who}: {told['reserved_ram_mib']:.5g} of {free:.5g} MB that the VMkernel and the "
            "console leave are reserved."
        )
        many = len(self.vms)
        asking = f"the {many} VMs asking need" if many != 1 else "the VM needs"
        ways = (
            f" With maximum memory, {asking} {self.talk_mib:.1f} MB by the talk's way, "
            f"{self.guide_mib:.1f} MB by the guide's: of {self.host_mib:g} MB, "
        )
        fit = [way <= self.host_mib for way in (self.talk_mib, self.guide_mib)]
        words = {2: "both fit.", 1: "only the talk's fits.", 0: "neither fits."}[sum(fit)]
        return f"{head}{self._refused()}{ways}{words}"

    def _refused(self) -> str:
        """Say who doesn't start, and what it lacks."""
        sentences = [
            f" {vm.name} doesn't: it lacks "
            + " and ".join(
                f"{lack:.5g} MB of {what}"
                for lack, what in ((ram, "memory"), (swap, "swap"))
                if lack
            )
            + "."
            for vm, ram, swap in zip(self.vms, self.lacks_ram_mib, self.lacks_swap_mib, strict=True)
            if ram or swap
        ]
        shown = sentences[:3]
        more = len(sentences) - len(shown)
        return "".join(shown) + (f" Nor do {more} more." if more else "")


def _listed(names: list[str]) -> str:
    """Write a few names, or how many they are."""
    return ", ".join(names) if 0 < len(names) <= 6 else f"{len(names) or 'No'} VMs"


def admit(
    vms: Iterable[VmMemory],
    host_mib: float,
    *,
    console_mib: float | None = None,
    swap_mib: float | None = None,
) -> Admission:
    """Let VMs start one after the other, as long as their reservations fit.

    Parameters
    ----------
    vms
        In the order in which they ask. One that is refused doesn't keep the next from asking.
    host_mib
        Memory of the host.
    console_mib
        Memory of the Service Console, at most 800; by the guide's table if not given.
    swap_mib
        Room for swapped pages; as much as the host's memory if not given.

    Returns
    -------
    Admission
        Who starts, what the others lack, and what all need by the talk's and the guide's way.

    Raises
    ------
    InvalidInputError
        If a number is out of range, or the VMkernel and the console alone don't fit.

    Examples
    --------
    >>> vms = [VmMemory("web", 256, 512, vcpus=2), VmMemory("db", 600, 700)]
    >>> result = admit(vms, host_mib=1024, swap_mib=300)
    >>> result.admitted.tolist(), result.lacks_ram_mib.tolist(), result.lacks_swap_mib.tolist()
    ([True, False], [0.0, 171.875], [0.0, 56.0])
    """
    asking = tuple(vms)
    if console_mib is None:
        console_mib = console_size_mib(sum(vm.vcpus for vm in asking))
    console = number("console_mib", console_mib, minimum=0, maximum=_CONSOLE_MOST_MIB)
    base = VMKERNEL_MIB + console
    host = number("host_mib", host_mib, minimum=0)
    if host < base:
        raise InvalidInputError("host_mib", host_mib, f"at least {base:g}: VMkernel and console")
    swap = number("swap_mib", host if swap_mib is None else swap_mib, minimum=0)
    ram_left, swap_left = host - base, swap
    lacks = np.zeros((2, len(asking)))
    for i, vm in enumerate(asking):
        ram, room = vm.min_mib + vm.overhead_mib, vm.max_mib - vm.min_mib
        lacks[:, i] = max(ram - ram_left, 0.0), max(room - swap_left, 0.0)
        if not lacks[:, i].any():
            ram_left, swap_left = ram_left - ram, swap_left - room
    lacks.flags.writeable = False
    return Admission(asking, host, console, swap, lacks[0], lacks[1])
