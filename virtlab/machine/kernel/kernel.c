/* A small kernel: two processes at ring 3 that take turns by the timer.

   Stage by stage: see what each needs that the one before has made. */

#include "kernel.h"

_Noreturn void main(void);

_Noreturn void main(void)
{
    say("kernel: at ring 0, in protected mode\n");
    make_tables();
    say("kernel: GDT, IDT and TSS are there\n");
    start_paging();
    say("kernel: paging is on\n");
    start_timer();
    say("kernel: the timer ticks\n");
    make_process('A');
    make_process('B');
    say("kernel: processes A and B are made; now to ring 3\n");
    run_processes(); /* the first of them lets interrupts in */
}
