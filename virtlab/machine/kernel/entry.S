/* The way into the kernel and out of it: first from the boot loader, then by traps.

   Source of the header: Multiboot Specification 0.6.96, section 3.1. The loader hands over at ring
   0 with flat segments, without paging, with interrupts off. */

#include "kernel.h"

        .file "entry.S"                 /* without it the symbol table holds a temporary name */

        .section .multiboot, "a"
        .align 4
        .long 0x1BADB002                /* magic */
        .long 0                         /* flags: nothing is asked of the loader */
        .long -0x1BADB002               /* checksum: the three add up to 0 */

        .text
        .globl _start
_start: cld
        mov $boot_stack_top, %esp       /* until the first process runs; each has its own */
        xor %ebp, %ebp
        call main                       /* does not return */

/* A stub for each vector, and its address in `entries`. After it the stack looks the same, whatever
   came: some exceptions push an error code, and for all else 0 stands in its place. */
        .section .rodata
        .globl entries
        .align 4
entries:

        .text
        .macro stub number
        .pushsection .rodata
        .long stub_\number
        .popsection
stub_\number:
        .if \number != 8 && (\number < 10 || \number > 14) && \number != 17
        push $0
        .endif
        push $\number
        jmp enter
        .endm

        .irp number, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
        stub \number
        .endr
        .irp number, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32
        stub \number
        .endr

        .globl system_call_entry
system_call_entry:
        push $0
        push $SYSTEM_CALL

enter:  pusha                           /* now a struct frame is on the stack */
        cld                             /* compiled code counts on it; ring 3 need not */
        push %esp
        call trap                       /* returns a frame: this one, or another process's */
leave:  mov %eax, %esp                  /* this is the whole switch: another stack */
        popa
        add $8, %esp                    /* vector and error */
        iret

        .globl resume
resume: mov 4(%esp), %eax
        jmp leave

        .bss
        .align 16
        .skip 4096
boot_stack_top:
