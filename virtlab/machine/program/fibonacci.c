/* Fibonacci's numbers by the definition: calls and returns, and little else. */

#define SMALL 19
#define LARGE 32
#include "guest.h"

static __attribute__((noinline)) u32 fibonacci(u32 n)
{
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

int main(void)
{
    say("Fibonacci(");
    say_number(SIZE);
    report(") = ", fibonacci(SIZE));
    return 0;
}
