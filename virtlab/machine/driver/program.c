/* What runs at ring 3: it asks for sectors, and says the checksum of what it got. */

#include "driver.h"

enum { MOST = 16 };

struct task task = {.lba = 0, .sectors = 1, .repeats = 1};

static u32 buffer[MOST * SECTOR / 4];

static u32 call(u32 number, u32 first, u32 second, u32 third)
{
    u32 result;
    __asm__ volatile("int %1"
                     : "=a"(result)
                     : "i"(SYSTEM_CALL), "a"(number), "b"(first), "c"(second), "d"(third)
                     : "memory");
    return result;
}

/* Add each word, and rotate, so that their order counts too. */
static u32 checksum(u32 sum, u32 words)
{
    for (u32 k = 0; k < words; k++)
        sum = (sum << 1 | sum >> 31) + buffer[k];
    return sum;
}

static void fill(u32 words, u32 seed)
{
    for (u32 k = 0; k < words; k++)
        buffer[k] = seed = seed * 1664525 + 1013904223; /* Numerical Recipes' generator */
}

_Noreturn void program(void)
{
    static char line[] = "checksum 0x00000000\n";
    u32 sum = 0, failed = 0, lba = task.lba;
    if (task.sectors > MOST)
        call(EXIT_CALL, 2, 0, 0);
    for (u32 k = 0; k < task.repeats; k++, lba += task.sectors) {
        u32 words = task.sectors * (SECTOR / 4);
        if (task.write) {
            fill(words, lba);
            failed |= call(WRITE_CALL, lba, task.sectors, (u32)buffer);
        }
        failed |= call(READ_CALL, lba, task.sectors, (u32)buffer);
        sum = checksum(sum, words);
    }
    for (int i = 0; i < 8; i++)
        line[11 + i] = "0123456789abcdef"[sum >> (28 - 4 * i) & 15];
    call(SAY_CALL, (u32)line, sizeof line - 1, 0);
    for (;;)
        call(EXIT_CALL, failed, 0, 0);
}
