/* How a guest program speaks: the serial port, a 16550 as the firmware left it. Built with -DLINUX it
   is a process of Linux instead, and asks its kernel: one system call for a text, where the port
   takes two accesses for each letter. */

#include "guest.h"

#ifndef LINUX
enum {
    COM1 = 0x3F8,           /* the transmit register; its line status is five ports on */
    READY_TO_SEND = 1 << 5, /* of the line status */
};

static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static u8 inb(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void say(const char *text)
{
    for (; *text; text++) {
        while (!(inb(COM1 + 5) & READY_TO_SEND))
            ;
        outb(COM1, (u8)*text);
    }
}
#else
enum { WRITE = 4, STDOUT = 1 }; /* Linux, arch/x86/entry/syscalls/syscall_32.tbl */

void say(const char *text)
{
    u32 length = 0, done;
    while (text[length])
        length++;
    __asm__ volatile("int $0x80"
                     : "=a"(done)
                     : "a"(WRITE), "b"(STDOUT), "c"(text), "d"(length)
                     : "memory");
}
#endif

void say_number(u32 value)
{
    char digits[11]; /* ten, and the end */
    char *at = digits + sizeof digits - 1;
    *at = 0;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    say(at);
}

void say_hex(u32 value)
{
    char digits[9];
    for (int i = 0; i < 8; i++)
        digits[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
    digits[8] = 0;
    say(digits);
}

void report(const char *text, u32 value)
{
    say(text);
    say_number(value);
    say("\n");
}

#ifdef LINUX
/* So that what comes after this is where it is in the guest: the same code at another place can take
   a third longer, and would be compared with itself. */
__asm__(".pushsection .text.place, \"ax\"\n.skip 0x4d\n.popsection");
#endif
