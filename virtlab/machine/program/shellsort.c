/* Shell's sort with Knuth's gaps (1, 4, 13, 40, ...): loops in loops, moves within an array. */

#define SMALL 1000
#define LARGE 300000
#include "guest.h"
#include "numbers.h"

static void sort(u32 *at, u32 count)
{
    u32 gap = 1;
    while (gap < count / 3)
        gap = 3 * gap + 1;
    for (; gap > 0; gap /= 3)
        for (u32 i = gap; i < count; i++) {
            u32 one = at[i], j = i;
            for (; j >= gap && at[j - gap] > one; j -= gap)
                at[j] = at[j - gap];
            at[j] = one;
        }
}

int main(void)
{
    fill();
    sort(numbers, SIZE);
    return say_what_came_out();
}
