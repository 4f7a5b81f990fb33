"""What a host needs for itself and to run a VM, besides the VM's memory (S23).

**Overhead** (オーバーヘッド) is what the host keeps about a VM: the frame buffer, tables that say
where its pages are, translated code. ESX Server 2 takes 54 MB with one virtual processor and 64 MB
with two, for up to 512 MB of memory, and 32 MB more for each further GB. The VMkernel takes 24 MB,
and the Service Console 192, 272, 384 or 512 MB for up to 8, 16, 32 or more virtual processors. A
megabyte is 2**20 bytes here.

What it leaves out: VMs of more than two processors, which ESX Server 2 doesn't run.

Sources: VMware ESX Server 2.1 Administration Guide (2004), pp. 425-427, and 2.5, p. 364.
"""

from __future__ import annotations

from virtlab.validate import integer, number

__all__ = ["VMKERNEL_MIB", "console_size_mib", "overhead_mib"]

VMKERNEL_MIB = 24.0
_OVERHEAD_MIB = {1: 54.0, 2: 64.0}  # by virtual processors, for up to 512 MB
_INCLUDED_MIB, _MORE_PER_GIB = 512.0, 32.0
_CONSOLE_MIB = ((8, 192.0), (16, 272.0), (32, 384.0))
_CONSOLE_OF_MANY_MIB = 512.0


def overhead_mib(maximum_mib: float, vcpus: int = 1) -> float:
    """Return what a host needs to run a VM, besides the VM's own memory.

    Parameters
    ----------
    maximum_mib
        The VM's memory, >= 0.
    vcpus
        Its virtual processors, 1 or 2.

    Returns
    -------
    float
        Megabytes.

    Raises
    ------
    InvalidInputError
        If a number is out of range.

    Examples
    --------
    >>> overhead_mib(512, vcpus=2), overhead_mib(2048)
    (64.0, 102.0)
    """
    base = _OVERHEAD_MIB[integer("vcpus", vcpus, minimum=1, maximum=2)]
    more = max(number("maximum_mib", maximum_mib, minimum=0) - _INCLUDED_MIB, 0.0)
    return base + _MORE_PER_GIB * more / 1024


def console_size_mib(vcpus: int) -> float:
    """Return the guide's size of the Service Console.

    Parameters
    ----------
    vcpus
        Virtual processors of all VMs together.

    Returns
    -------
    float
        Megabytes.

    Raises
    ------
    InvalidInputError
        If it is not a whole number >= 0.

    Examples
    --------
    >>> [console_size_mib(vcpus) for vcpus in (6, 16, 32, 33)]
    [192.0, 272.0, 384.0, 512.0]
    """
    integer("vcpus", vcpus, minimum=0)
    return next((size for most, size in _CONSOLE_MIB if vcpus <= most), _CONSOLE_OF_MANY_MIB)
