/* How the guest begins: the Multiboot header, a flat segment table, a stack, and one interrupt.

   Source: Multiboot Specification 0.6.96, section 3.1 (header) and 3.2 (machine state). */

        .section .multiboot, "a"
        .align 4
        .long 0x1BADB002                /* magic */
        .long 2                         /* flag: tell us how much memory there is */
        .long -(0x1BADB002 + 2)         /* checksum: the three add up to 0 */

        .text
        .globl _start
_start: cli
        mov $stack_top, %esp
        lgdt gdt_pointer                /* the loader's own table may be anywhere: use ours */
        ljmp $8, $1f
1:      mov $16, %cx
        mov %cx, %ds
        mov %cx, %es
        mov %cx, %ss
        push %ebx                       /* where the loader put what it knows */
        push %eax                       /* the loader's magic */
        call guest_main
2:      hlt
        jmp 2b

        .globl on_tick
on_tick:                                /* the timer woke us: tell the interrupt controller */
        push %eax
        mov $0x20, %al
        out %al, $0x20
        pop %eax
        iret

        .section .rodata
        .align 8
gdt:    .quad 0
        .quad 0x00CF9A000000FFFF        /*  8: code, 4 GiB from 0 */
        .quad 0x00CF92000000FFFF        /* 16: data, 4 GiB from 0 */
gdt_pointer:
        .word . - gdt - 1
        .long gdt

        .bss
        .align 16
        .skip 4096
stack_top:
