"""The hypervisor: a machine with a VMkernel, a Service Console, and a vmm for each VM (S13, S15).

The **Service Console** is how people manage a host. It does nothing to hardware, and runs no VM: it
asks the VMkernel, from outside, and reads its figures. So it may be slow, or busy, or down, and the
VMs go on.

>>> host = Hypervisor(PhysicalDisk.of(bytes(8192 * 512)))
>>> vmm = host.console.create("VM1", shares=2000, disk_mib=1)
>>> host.console.create("VM2", disk_mib=1).name
'VM2'
>>> host.kernel.run()
>>> host.console.statistics()[["vm", "shares", "requests", "moved_bytes"]]
    vm  shares  requests  moved_bytes
0  VM1  2000.0         1          512
1  VM2  1000.0         1          512
>>> host.console.destroy("VM2")
>>> host.console.commands[-1]
'destroy VM2'

Left out: the console's own operating system, and that it drives some of the hardware itself, as ESX
Server 2 let it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from virtlab.machine.esx.physical import SECTOR, PhysicalDisk
from virtlab.machine.esx.vmkernel import VMkernel
from virtlab.machine.esx.vmm import RAM_MIB, Task, Vmm
from virtlab.validate import InvalidInputError, integer, number

if TYPE_CHECKING:
    import pandas as pd

    from virtlab.machine.esx.vmm import World

__all__ = ["Hypervisor", "ServiceConsole"]


class ServiceConsole:
    """Makes, changes and ends VMs from outside.

    Parameters
    ----------
    kernel
        Whom it asks.

    Attributes
    ----------
    commands
        What it has asked for.

    Examples
    --------
    See the module's example.
    """

    def __init__(self, kernel: VMkernel) -> None:
        self._kernel = kernel
        self.commands: list[str] = []

    def create(
        self,
        name: str,
        task: Task | None = None,
        *,
        shares: float = 1000.0,
        disk_mib: int = 1,
    ) -> Vmm:
        """Make a VM: the hypervisor makes its vmm, and that makes its guest computer.

        Parameters
        ----------
        name
            What it is called.
        task
            What its guest does.
        shares
            Of the disk.
        disk_mib
            Size of its disk.

        Returns
        -------
        Vmm
            Its parent.

        Raises
        ------
        InvalidInputError
            If there is one of that name, or there is no room.

        Examples
        --------
        See the module's example.
        """
        sectors = (integer("disk_mib", disk_mib, minimum=1) << 20) // SECTOR
        vmm = Vmm(name, task, sectors)
        self.register(vmm, shares=shares, disk_mib=disk_mib)
        return vmm

    def register(self, world: World, *, shares: float = 1000.0, disk_mib: int = 1) -> None:
        """Let a VM in whose vmm is there already.

        Parameters
        ----------
        world
            Its vmm.
        shares, disk_mib
            As in `create`.

        Examples
        --------
        >>> from virtlab.machine.esx.loads import Load
        >>> host = Hypervisor(PhysicalDisk.of(bytes(4096 * 512)))
        >>> host.console.register(Load("VM9"))
        >>> host.console.commands
        ['create VM9']
        """
        sectors = (integer("disk_mib", disk_mib, minimum=1) << 20) // SECTOR
        self._kernel.admit(world, memory_mib=RAM_MIB, sectors=sectors, shares=shares)
        self.commands.append(f"create {world.name}")

    def destroy(self, name: str) -> None:
        """End a VM.

        Parameters
        ----------
        name
            Which.

        Examples
        --------
        See the module's example.
        """
        self._kernel.dismiss(name)
        self.commands.append(f"destroy {name}")

    def set_shares(self, name: str, shares: float) -> None:
        """Give a VM other shares of the disk; they count from the next choice on.

        Parameters
        ----------
        name
            Which.
        shares
            > 0.

        Examples
        --------
        >>> host = Hypervisor(PhysicalDisk.of(bytes(4096 * 512)))
        >>> _ = host.console.create("VM1")
        >>> host.console.set_shares("VM1", 3000)
        >>> host.console.statistics()["shares"].tolist()
        [3000.0]
        """
        if number("shares", shares, minimum=0) == 0:
            raise InvalidInputError("shares", shares, "a number > 0")
        self._kernel.account(name).shares = float(shares)
        self.commands.append(f"set shares of {name} to {shares:g}")

    def statistics(self) -> pd.DataFrame:
        """Read the VMkernel's figures.

        Returns
        -------
        pandas.DataFrame
            A row for each VM: what it has, and what it got.

        Examples
        --------
        See the module's example.
        """
        import pandas as pd

        rows = [
            {
                "vm": name,
                "shares": one.shares,
                "memory_from_mib": one.memory.begin,
                "memory_mib": one.memory.size,
                "first_sector": one.extent.begin,
                "sectors": one.extent.size,
                "requests": one.requests,
                "moved_bytes": one.moved_bytes,
                "mean_wait_ms": one.waited_us / 1000 / one.requests if one.requests else 0.0,
            }
            for name, one in self._kernel.accounts.items()
        ]
        return pd.DataFrame(rows)


class Hypervisor:
    """A host.

    Parameters
    ----------
    disk
        Its disk.
    memory_mib
        Its memory, for VMs.

    Attributes
    ----------
    kernel, console
        Its VMkernel and its Service Console.

    Examples
    --------
    See the module's example.
    """

    def __init__(self, disk: PhysicalDisk, memory_mib: int = 64) -> None:
        self.kernel = VMkernel(disk, memory_mib)
        self.console = ServiceConsole(self.kernel)
