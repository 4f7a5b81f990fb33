/* The console: the serial port, a 16550 as the firmware left it; and the way to end the machine. */

#include "kernel.h"

enum {
    COM1 = 0x3F8,           /* the transmit register; its line status is five ports on */
    READY_TO_SEND = 1 << 5, /* of the line status */
    EXIT_PORT = 0xF4,       /* QEMU's isa-debug-exit: a write ends the machine */
};

void say_bytes(const char *text, u32 length)
{
    for (; length; text++, length--) {
        while (!(inb(COM1 + 5) & READY_TO_SEND))
            ;
        outb(COM1, (u8)*text);
    }
}

void say(const char *text)
{
    for (; *text; text++)
        say_bytes(text, 1);
}

void say_number(u32 value)
{
    if (value >= 10)
        say_number(value / 10);
    say_bytes(&"0123456789"[value % 10], 1);
}

void say_hex(u32 value)
{
    say("0x");
    for (int shift = 28; shift >= 0; shift -= 4)
        say_bytes(&"0123456789abcdef"[value >> shift & 15], 1);
}

_Noreturn void power_off(u32 status)
{
    outb(EXIT_PORT, (u8)status);
    for (;;) /* without such a port: stand still, interrupts are off */
        __asm__ volatile("hlt");
}
