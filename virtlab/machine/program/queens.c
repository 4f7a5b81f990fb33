/* In how many ways queens stand on a chess board so that none threatens another: recursion over sets,
   each a number whose bits are the columns. */

#define SMALL 8
#define LARGE 13
#include "guest.h"

static const u32 all = (1u << SIZE) - 1;

/* Count the ways to fill the rows that are left, given which columns are taken, and which ones the
   queens of the rows above threaten from either side. Not inlined into itself: a call for each queen. */
static __attribute__((noinline)) u32 place(u32 columns, u32 left, u32 right)
{
    if (columns == all)
        return 1;
    u32 ways = 0;
    for (u32 free = all & ~(columns | left | right); free; free &= free - 1) {
        u32 queen = free & -free; /* the lowest bit */
        ways += place(columns | queen, (left | queen) << 1, (right | queen) >> 1);
    }
    return ways;
}

int main(void)
{
    report("queens: ", SIZE);
    report("ways to place them: ", place(0, 0, 0));
    return 0;
}
