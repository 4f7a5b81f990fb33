/* How a program begins and ends that is no guest, but a process of Linux (-DLINUX): main, then exit.

   The kernel hands over with a stack and flat segments; `int 0x80` calls it. Source: Linux,
   arch/x86/entry/syscalls/syscall_32.tbl. */

        .file "start-linux.S"

        .text
        .globl _start
        .type _start, @function
_start: cld
        xor %ebp, %ebp                  /* no frame before this one */
        call main
        mov %eax, %ebx                  /* main's value is the process's status */
        mov $1, %eax                    /* exit */
        int $0x80
        .size _start, . - _start
