/* Quicksort by Hoare's partition around the middle: recursion, and branches no one can foretell. */

#define SMALL 1500
#define LARGE 500000
#include "guest.h"
#include "numbers.h"

static void sort(int low, int high)
{
    while (low < high) { /* the larger part in this loop, so that the stack stays small */
        u32 pivot = numbers[low + (high - low) / 2];
        int i = low - 1, j = high + 1;
        for (;;) {
            while (numbers[++i] < pivot)
                ;
            while (numbers[--j] > pivot)
                ;
            if (i >= j)
                break;
            u32 one = numbers[i];
            numbers[i] = numbers[j];
            numbers[j] = one;
        }
        if (j - low < high - j) {
            sort(low, j);
            low = j + 1;
        } else {
            sort(j + 1, high);
            high = j;
        }
    }
}

int main(void)
{
    fill();
    sort(0, SIZE - 1);
    return say_what_came_out();
}
