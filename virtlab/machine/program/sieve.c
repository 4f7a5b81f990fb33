/* The sieve of Eratosthenes: byte stores with ever longer strides. */

#define SMALL 8000
#define LARGE 5000000
#include "guest.h"

static u8 composite[SIZE];

int main(void)
{
    u32 count = 0, last = 0;
    for (u32 i = 2; i < SIZE; i++) {
        if (composite[i])
            continue;
        count++;
        last = i;
        for (u32 j = 2 * i; j < SIZE; j += i)
            composite[j] = 1;
    }
    say("primes below ");
    say_number(SIZE);
    report(": ", count);
    report("the last is ", last);
    return 0;
}
