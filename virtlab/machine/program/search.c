/* Where a word occurs in a text, by Horspool's way: compare from the end, then jump by a table. */

#define SMALL 8000
#define LARGE 6000000
#include "guest.h"

static u8 text[SIZE];
static u32 jump[256];

/* A letter of four, from the top bits of the hash hashed again: they do not repeat soon. */
static u8 letter(u32 place)
{
    u32 hash = scatter(place);
    return (u8)('a' + (scatter(hash ^ hash >> 15) >> 30));
}

static void search(const char *word, u32 length)
{
    u32 count = 0, first = 0, last = 0;
    for (u32 i = 0; i < 256; i++)
        jump[i] = length;
    for (u32 i = 0; i + 1 < length; i++)
        jump[(u8)word[i]] = length - 1 - i;
    for (u32 at = 0; at + length <= SIZE;) {
        u32 left = length;
        while (left && text[at + left - 1] == (u8)word[left - 1])
            left--;
        if (!left) {
            first = count++ ? first : at;
            last = at;
        }
        at += jump[text[at + length - 1]];
    }
    say(word);
    report(": ", count);
    report("  first at ", first);
    report("  last at ", last);
}

int main(void)
{
    for (u32 i = 0; i < SIZE; i++)
        text[i] = letter(i);
    report("letters: ", SIZE);
    search("abacad", 6);
    search("dada", 4);
    search("bb", 2);
    return 0;
}
