"""Virtual hardware: each module is one part of a PC of 1985 to 2004, as a guest sees it (S16).

A hypervisor shows its guests old, common parts, because every system has drivers for them: ESX
showed an LSI Logic or BusLogic disk adapter and an AMD network card, whatever the host had. The
parts here are those that any PC has had since the AT, and QEMU has them too.

| module | stands for | ports | interrupt |
|---|---|---|---|
| `pic` | two Intel 8259A interrupt controllers | 0x20, 0x21, 0xA0, 0xA1 | |
| `pit` | Intel 8254 timer, channel 0 | 0x40 to 0x43 | IRQ 0 |
| `uart` | National 16550 serial port (COM1) | 0x3F8 to 0x3FF | IRQ 4 |
| `disk` | an ATA disk on the first IDE channel | 0x1F0 to 0x1F7, 0x3F6 | IRQ 14 |
| `screen` | VGA text mode | 0x3D4, 0x3D5, and memory at 0xB8000 | |
| `exit_port` | QEMU's isa-debug-exit | 0xF4 | |

A kernel of a later PC asks for more: a local APIC and an I/O APIC, which are reached through memory
and not through ports, and a table that says where they are; a second disk on the channel; a
keyboard. None of them is here. A device of one's own goes on the bus (`virtlab.machine.bus`).
"""
