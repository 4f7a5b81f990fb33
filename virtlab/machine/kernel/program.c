/* What both processes run, at ring 3: one program, in one frame, that two directories share.

   Its stack is at the same address in both, and is another frame in each. It can do nothing but
   work, and ask the kernel; what it tries beyond that is on purpose. */

#include "kernel.h"

enum { ROUNDS = 5, STEPS = 3600, WRITE_CALL = 1, EXIT_CALL = 2 };

static u32 call(u32 number, u32 first, u32 second)
{
    u32 result;
    __asm__ volatile("int %1"
                     : "=a"(result)
                     : "i"(SYSTEM_CALL), "a"(number), "b"(first), "c"(second)
                     : "memory");
    return result;
}

/* Put eight hexadecimal digits where they belong in a line. */
static void put(char *at, u32 value)
{
    for (int i = 0; i < 8; i++)
        at[i] = "0123456789abcdef"[value >> (28 - 4 * i) & 15];
}

/* A line that tells where a variable is, and what it holds. */
static void tell(char name, char round, const volatile u32 *variable)
{
    char line[] = "A: round 0: at 0x00000000 is 0x00000000\n";
    line[0] = name;
    line[9] = round;
    put(line + 17, (u32)variable);
    put(line + 31, *variable);
    call(WRITE_CALL, (u32)line, sizeof line - 1);
}

_Noreturn void program(char name)
{
    volatile u32 mine = (u32)name; /* the same address in both */
    for (char round = '1'; round < '1' + ROUNDS; round++) {
        u32 value = mine;
        for (u32 step = 0; step < STEPS; step++) /* Numerical Recipes' generator, as some work */
            value = value * 1664525 + 1013904223;
        mine = value;
        tell(name, round, &mine);
        if (name == 'A' && round == '3') {
            volatile u32 *heap = (u32 *)USER_HEAP;
            *heap = mine; /* a page that is not there */
            tell(name, round, heap);
        }
    }
    if (name == 'B')
        mine = *(volatile u32 *)0x100000; /* the kernel's first word */
    for (;;)
        call(EXIT_CALL, 0, 0);
}
