/* What the guest programs share: how large they are, what they work on, and how they speak.

   Each source says two sizes: SMALL, for an interpreter (a few 100,000 instructions), and LARGE, for
   benchmarks (about 100 million). SIZE is the one it is built with; `-DSIZE=LARGE` takes the other,
   and a number is a size of one's own. */

#ifndef SIZE
#define SIZE SMALL
#endif

#ifndef __ASSEMBLER__

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

/* The number that a program finds at a place of its data: Knuth's multiplicative hash, so that a
   test can work out any of them without the ones before. */
static inline u32 scatter(u32 place) { return place * 2654435761u; }

/* Text, numbers and the end of a line, on the serial port. */
void say(const char *text);
void say_number(u32 value);
void say_hex(u32 value);

/* A line: text, a number. */
void report(const char *text, u32 value);

/* What _start calls; its value goes to the exit port. */
int main(void);

#endif
