"""A guest computer that runs real i386 machine code (S5-S7, S13, S15-S17).

What a guest is made of, from below: an **image** (`image`: what an ELF file says must be in memory,
and where execution begins) and the programs that are run here (`guests`: isPrime of Adams and
Agesen, sorts, sieve and the like, compiled C and assembly, with their sources beside them).

Guest programs are those a real machine runs. Nothing in them knows this computer: they start as
the Multiboot protocol starts a kernel, write to a serial port and end by a write to another port,
so that QEMU boots the same files, and says whether what happens here is what should.

An instruction's way through the computer, from bytes to what it changes:

    encoding     prefixes, opcode, ModRM: how it is written down
    decode       its meaning as p-code, by `pypcode`; `patches` repairs what is missing there
    pcode        the small operations, and what each computes
    interpreter  runs them, one by one: the specification
    processor    fetch, do, and undo what faults; segments and paging in front of memory
    segments     base, limit, rights; `descriptors` loads them from the tables
    paging       linear to physical, with rights and a TLB
    sensitive    which instructions touch the machine itself; done by `system`, `ports`, `transfers`
    transfers    from ring to ring: interrupts, gates, returns
    rare         decimal digits and nested frames
    rings        what each instruction does at each ring, found by running it (`probes`, `stage`,
                 `tried`);
                 `ring_choice`: one cell, and who does otherwise; `ring_pages`: what pages know of
                 rings
    walk         any step of a run, forward and back: ring, gates, stack, and a sentence
    sensitivity  which instructions touch the machine, computed from p-code
    theorem      of Popek and Goldberg: what follows from it, and the monitors that it promises

And the rest of a PC around it:

    bus          `in` and `out` find a device; a device is a class of about thirty lines
    devices      interrupt controller, timer, serial port, disk, screen, exit: what QEMU has too
    computer     all of it: one step, forward (`traps`: where a fault goes) or back (`history`)
    running      many steps: breakpoints, watches, Ctrl-C; `guest_run` is what came of it
    start        what a boot loader leaves to the program
    translation  the same, faster: code is translated and kept

And a monitor that takes ring 0 from a guest's kernel:

    vmm          traps, emulation and injection; what lies, and how it is patched

Beside it, other ways to run the same programs, and where the layer that does it may stand:

    direct       on the real processor, under a monitor (`direct_process`)
    ways         natively, directly, translated, interpreted: measured in turns (`comparison`)
    architectures  hosted, the system itself, a dedicated kernel (`io_paths`)

All but the image, `direct` and `architectures` need the extra `machine` (pypcode).
"""
