/* Processes: each has a directory, a stack for the kernel, and a name. They take turns. */

#include "kernel.h"

enum { MOST = 2, INTERRUPTS_ON = 1 << 9 };

static struct process {
    struct frame *frame; /* its registers, on its kernel stack, while it does not run */
    u32 *directory;
    char name, over;
    u8 stack[2048] __attribute__((aligned(16)));
} processes[MOST], *current;

static u32 made;
u32 switches;

/* Make a process as if it had been interrupted before its first instruction. */
void make_process(char name)
{
    struct process *new = &processes[made++];
    new->name = name;
    new->directory = make_directory();
    u32 *top = (u32 *)((u8 *)give_page(new->directory, USER_STACK) + PAGE);
    top[-1] = (u32)name; /* the argument of `program`; below it would be where it returns to */

    new->frame = (struct frame *)(new->stack + sizeof new->stack) - 1;
    new->frame->eip = (u32)program;
    new->frame->cs = USER_CODE;
    new->frame->eflags = INTERRUPTS_ON; /* and IOPL 0: no cli, no in and out at ring 3 */
    new->frame->esp = USER_STACK + PAGE - 8;
    new->frame->ss = USER_DATA;
}

u32 *current_directory(void) { return current->directory; }

static void take(struct process *next)
{
    current = next;
    set_kernel_stack((u32)(next->stack + sizeof next->stack));
    use_directory(next->directory);
}

_Noreturn void run_processes(void)
{
    take(&processes[0]);
    resume(current->frame);
}

/* Round robin: the next one that is not over; the same if there is no other. */
struct frame *next_process(struct frame *frame)
{
    current->frame = frame;
    u32 at = (u32)(current - processes);
    for (u32 k = 1; k <= made; k++) {
        struct process *next = &processes[(at + k) % made];
        if (next->over)
            continue;
        if (next != current) {
            switches++;
            take(next);
        }
        return next->frame;
    }
    finish();
}

struct frame *end_process(const char *why)
{
    current->over = 1;
    say("kernel: ");
    say_bytes(&current->name, 1);
    say(why);
    return next_process(current->frame);
}
