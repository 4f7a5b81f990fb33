"""The layers of ESX Server as objects that do their work, and one request on its way through them.

    program       ring 3   asks its kernel for sectors of a disk
    guest kernel  ring 1   its driver talks to what it takes for the hardware
    vmm                    one for each VM: every port access of the guest ends here
    VMkernel               owns the hardware, and decides whose request is next
    hardware               one disk, one processor

and beside them the Service Console, which manages the VMkernel from outside (S13, S15, S16).

`physical` is what is there, `vmkernel` who owns it, `vmm` who runs a guest, `devices` what a guest
sees instead of the hardware, `hypervisor` the whole host with its console. `request` follows one
request and says, act by act, who did what and what it took; `parts` says for which real part each
virtual device stands.
"""
