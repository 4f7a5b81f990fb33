/* The timer and the interrupt controller on whose line 0 it is: what makes the kernel preemptive.
   Sources: Intel 8259A and 8254 data sheets. */

#include "kernel.h"

enum {
    MASTER = 0x20, SLAVE = 0xA0, /* the controllers' command ports; data is one port on */
    END_OF_INTERRUPT = 0x20,
    COUNTER_0 = 0x40, TIMER_COMMAND = 0x43,
    RATE_GENERATOR = 0x34, /* counter 0, low byte then high, mode 2 */
    CLOCK_HZ = 1193182, TICKS_A_SECOND = 1000,
};

void start_timer(void)
{
    /* The firmware's vectors, 8 to 15, are those of exceptions: move them behind these. */
    outb(MASTER, 0x11), outb(SLAVE, 0x11);              /* four bytes follow */
    outb(MASTER + 1, TIMER), outb(SLAVE + 1, TIMER + 8); /* the vector of line 0 */
    outb(MASTER + 1, 4), outb(SLAVE + 1, 2);            /* the slave is on the master's line 2 */
    outb(MASTER + 1, 1), outb(SLAVE + 1, 1);            /* 8086 mode */
    outb(MASTER + 1, 0xFE), outb(SLAVE + 1, 0xFF);      /* masks: the timer alone may interrupt */

    u32 count = CLOCK_HZ / TICKS_A_SECOND;
    outb(TIMER_COMMAND, RATE_GENERATOR);
    outb(COUNTER_0, count & 0xFF);
    outb(COUNTER_0, count >> 8);
}

void end_of_interrupt(void) { outb(MASTER, END_OF_INTERRUPT); }
