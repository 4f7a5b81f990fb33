/* The product of two square matrices of whole numbers, modulo 2^32: multiplications, three loops. */

#define SMALL 28
#define LARGE 256
#include "guest.h"

static u32 a[SIZE][SIZE], b[SIZE][SIZE], c[SIZE][SIZE];

static void multiply(void)
{
    for (u32 i = 0; i < SIZE; i++)
        for (u32 j = 0; j < SIZE; j++) {
            u32 sum = 0;
            for (u32 k = 0; k < SIZE; k++)
                sum += a[i][k] * b[k][j];
            c[i][j] = sum;
        }
}

int main(void)
{
    u32 trace = 0, all = 0;
    for (u32 i = 0; i < SIZE; i++)
        for (u32 j = 0; j < SIZE; j++) {
            a[i][j] = scatter(i * SIZE + j);
            b[i][j] = scatter(i * SIZE + j) >> 16;
        }
    multiply();
    for (u32 i = 0; i < SIZE; i++) {
        trace += c[i][i];
        for (u32 j = 0; j < SIZE; j++)
            all = all * 31 + c[i][j];
    }
    report("rows and columns: ", SIZE);
    say("trace: ");
    say_hex(trace);
    say("\nelements, as digits to the base 31: ");
    say_hex(all);
    say("\n");
    return 0;
}
