"""A guest computer that runs real i386 machine code (S5-S7, S13, S15-S17).

What a guest is made of, from below: an **image** (`image`: what an ELF file says must be in memory,
and where execution begins) and the programs that are run here (`guests`: isPrime of Adams and
Agesen, sorts, sieve and the like, compiled C and assembly, with their sources beside them).

Guest programs are those a real machine runs. Nothing in them knows this computer: they start as
the Multiboot protocol starts a kernel, write to a serial port and end by a write to another port,
so that QEMU boots the same files, and says whether what happens here is what should.
"""
