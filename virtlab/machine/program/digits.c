/* Decimal digits of e, 1 + 1 + 1/2! + 1/3! + ..., by long arithmetic: divisions of 64 by 32 bits,
   products of 64 bits, and what one word carries to the next. */

#define SMALL 270
#define LARGE 10800
#include "guest.h"

/* Fractions: words of 32 bits, the highest first. Nine digits take less than 30 bits; what is over
   keeps away from them what the divisions cut off at the end. */
enum { WORDS = SIZE / 9 + 3 };
static u32 sum[WORDS], term[WORDS];

/* Divide; return whether anything is left. C has no division of two words by one whose quotient is
   known to fit in one: for it gcc calls a function of its library, and there is none here. */
static int divide(u32 *number, u32 by)
{
    u32 rest = 0, any = 0;
    for (u32 i = 0; i < WORDS; i++) {
        __asm__("divl %2" : "+a"(number[i]), "+d"(rest) : "r"(by) : "cc");
        any |= number[i];
    }
    return any != 0;
}

static void add(u32 *to, const u32 *what)
{
    u32 carry = 0;
    for (u32 i = WORDS; i-- > 0;) {
        u32 one = to[i] + carry;
        carry = one < carry;
        to[i] = one + what[i];
        carry += to[i] < one;
    }
}

/* Multiply; return what comes before the point. */
static u32 multiply(u32 *number, u32 by)
{
    u32 carry = 0;
    for (u32 i = WORDS; i-- > 0;) {
        unsigned long long product = (unsigned long long)number[i] * by + carry;
        number[i] = (u32)product;
        carry = (u32)(product >> 32);
    }
    return carry;
}

int main(void)
{
    u32 first = 0, all = 0;
    term[0] = 1u << 31; /* 1/2!: the two terms before it are the 2 before the point */
    add(sum, term);
    for (u32 n = 3; divide(term, n); n++)
        add(sum, term);
    for (u32 digit = 0; digit + 9 <= SIZE; digit += 9) {
        u32 nine = multiply(sum, 1000000000);
        first = digit ? first : nine;
        all = all * 31 + nine;
    }
    report("digits of e after the point: ", SIZE / 9 * 9);
    report("the first nine: ", first);
    say("all, by nines, as digits to the base 31: ");
    say_hex(all);
    say("\n");
    return 0;
}
