/* The way into the kernel and out of it. Multiboot's loader hands over at ring 0 with flat segments,
   without paging, with interrupts off. */

#include "driver.h"

        .file "entry.S"

        .section .multiboot, "a"
        .align 4
        .long 0x1BADB002, 0, -0x1BADB002

        .text
        .globl _start
_start: cld
        mov $kernel_stack_top, %esp
        call main                       /* does not return */

        .globl to_ring_3
to_ring_3:
        push $USER_DATA
        push $program_stack_top
        push $0x202                     /* interrupts on, IOPL 0: no in and out at ring 3 */
        push $USER_CODE
        push $program
        iret

        .globl call_entry
call_entry:
        pusha
        cld
        push %esp
        call system_call
        add $4, %esp
        popa
        iret

        .globl ata_entry
ata_entry:
        pusha
        cld
        call ata_interrupt
        jmp end

        .globl own_entry
own_entry:
        pusha
        cld
        call own_interrupt
end:    call end_of_interrupt
        popa
        iret

        .globl fault_entry
fault_entry:                            /* any exception: this kernel makes none, and handles none */
        push $1
        call power_off

        .bss
        .align 16
        .globl kernel_stack_top         /* the TSS names it too */
        .skip 4096
kernel_stack_top:
        .skip 4096
program_stack_top:
