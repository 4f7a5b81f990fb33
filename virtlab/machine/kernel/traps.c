/* What is done about each trap: the timer's turn, system calls, page faults, other exceptions. */

#include "kernel.h"

enum { PRESENT = 1, WRITE = 2, RING_3 = 4 }; /* of a page fault's error code */
enum { WRITE_CALL = 1, EXIT_CALL = 2 };

static u32 ticks, calls, page_faults;

_Noreturn void finish(void)
{
    say("kernel: no process is left; ticks ");
    say_number(ticks);
    say(", switches ");
    say_number(switches);
    say(", system calls ");
    say_number(calls);
    say(", page faults ");
    say_number(page_faults);
    say("\n");
    power_off(0);
}

/* System calls: the number in eax, arguments in ebx and ecx, the result in eax. */
static struct frame *system_call(struct frame *frame)
{
    u32 text = frame->ebx, length = frame->ecx;
    calls++;
    if (frame->eax == EXIT_CALL)
        return end_process(" has called exit\n");
    frame->eax = (u32)-1;
    /* The kernel could read all memory for it: it must not, but for what is the process's own. */
    if (text >= USER_BEGIN && text < USER_END && length <= USER_END - text) {
        say_bytes((const char *)text, length);
        frame->eax = length;
    }
    return frame;
}

static void say_fault(u32 address, u32 error)
{
    say("kernel: page fault at ");
    say_hex(address);
    say(", error code ");
    say_number(error);
    say(error & RING_3 ? ": ring 3" : ": ring 0");
    say(error & WRITE ? " writes to" : " reads");
    say(error & PRESENT ? " a page that is not for it\n" : " a page that is not there\n");
}

/* A page of the heap is made when it is touched first (demand paging), by the process or by the
   kernel for it. All else is a mistake: the process's, or the kernel's own. */
static struct frame *page_fault(struct frame *frame)
{
    u32 address, error = frame->error;
    __asm__ volatile("mov %%cr2, %0" : "=r"(address));
    page_faults++;
    say_fault(address, error);
    if (!(error & PRESENT) && address >= USER_HEAP && address < USER_HEAP_END) {
        give_page(current_directory(), address);
        return frame; /* the instruction is done again */
    }
    if (error & RING_3 || (address >= USER_BEGIN && address < USER_END))
        return end_process(" is ended for that\n");
    power_off(1);
}

struct frame *trap(struct frame *frame)
{
    switch (frame->vector) {
    case TIMER:
        ticks++;
        end_of_interrupt();
        return next_process(frame);
    case SYSTEM_CALL:
        return system_call(frame);
    case PAGE_FAULT:
        return page_fault(frame);
    }
    say("kernel: exception ");
    say_number(frame->vector);
    say(" at ");
    say_hex(frame->eip);
    say("\n");
    if (frame->cs == USER_CODE)
        return end_process(" is ended for that\n");
    power_off(1);
}
