/* How every guest program begins and ends: the Multiboot header, a stack, main, and the way out.

   Source: Multiboot Specification 0.6.96, section 3.1 (header) and 3.2 (machine state). The loader
   hands over in protected mode, with flat segments, without paging and with interrupts off. Its own
   descriptor table may be anywhere, so no segment register is loaded here. */

        .file "start.S"                 /* without it the symbol table holds a temporary name */

        .section .multiboot, "a"
        .align 4
        .long 0x1BADB002                /* magic */
        .long 0                         /* flags: nothing is asked of the loader */
        .long -0x1BADB002               /* checksum: the three add up to 0 */

        .text
        .globl _start
        .type _start, @function
_start: cld                             /* compiled code counts on it; the loader promises nothing */
        mov $stack_top, %esp
        xor %ebp, %ebp                  /* no frame before this one */
        call main
        mov $0xF4, %edx                 /* the port whose write ends the machine */
        out %eax, %dx                   /* QEMU's exit status is main's value * 2 + 1 */
1:      hlt                             /* without such a port: stand still, interrupts are off */
        jmp 1b
        .size _start, . - _start

        .bss
        .align 16
        .skip 16384
stack_top:
