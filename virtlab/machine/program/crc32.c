/* CRC-32 as in Ethernet, gzip and PNG, with a table: shifts, exclusive or, loads by index. */

#define SMALL 16384
#define LARGE 6000000
#include "guest.h"

static u32 table[256];
static u8 data[SIZE];

static void make_table(void)
{
    for (u32 byte = 0; byte < 256; byte++) {
        u32 rest = byte;
        for (int bit = 0; bit < 8; bit++)
            rest = rest & 1 ? rest >> 1 ^ 0xEDB88320u : rest >> 1; /* the polynomial, reflected */
        table[byte] = rest;
    }
}

static u32 crc32(const u8 *at, u32 length)
{
    u32 rest = ~0u;
    while (length--)
        rest = rest >> 8 ^ table[(rest ^ *at++) & 255];
    return ~rest;
}

int main(void)
{
    make_table();
    for (u32 i = 0; i < SIZE; i++)
        data[i] = (u8)(scatter(i) >> 24);
    say("CRC-32 of ");
    say_number(SIZE);
    say(" bytes: ");
    say_hex(crc32(data, SIZE));
    say("\n");
    return 0;
}
