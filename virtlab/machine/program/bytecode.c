/* A machine within the machine: an interpreter of byte code, whose program counts the steps of
   Collatz's sequences. A jump through a table for each of its instructions: where it goes is in the
   data, and the code does not say. */

#define SMALL 40
#define LARGE 8000
#include "guest.h"

enum { PUSH, LOAD, STORE, ADD, MULTIPLY, HALVE, IS_ODD, LESS, JUMP, IF_ZERO, HALT };
enum { START, NUMBER, STEPS, CELLS };

/* For a stack machine; modulo 2^32, as all that it works out. */
static const u32 program[] = {
    /*  0 */ PUSH, 1, STORE, START,                                 /* start = 1 */
    /*  4 */ LOAD, START, PUSH, SIZE, LESS, IF_ZERO, 60,            /* while start < SIZE */
    /* 11 */ LOAD, START, STORE, NUMBER,                            /*   number = start */
    /* 15 */ PUSH, 1, LOAD, NUMBER, LESS, IF_ZERO, 51,              /*   while 1 < number */
    /* 22 */ LOAD, NUMBER, IS_ODD, IF_ZERO, 37,                     /*     if it is odd */
    /* 27 */ LOAD, NUMBER, PUSH, 3, MULTIPLY, PUSH, 1, ADD,         /*       3 * number + 1 */
    /* 35 */ JUMP, 40,                                              /*     else */
    /* 37 */ LOAD, NUMBER, HALVE,                                   /*       number / 2 */
    /* 40 */ STORE, NUMBER,                                         /*     is the next number */
    /* 42 */ LOAD, STEPS, PUSH, 1, ADD, STORE, STEPS, JUMP, 15,     /*     steps++ */
    /* 51 */ LOAD, START, PUSH, 1, ADD, STORE, START, JUMP, 4,      /*   start++ */
    /* 60 */ HALT,
};

static u32 cells[CELLS];

/* Return how many instructions were done before HALT. */
static u32 run(const u32 *code)
{
    u32 stack[4], *top = stack; /* where the next number goes */
    u32 at = 0, done = 0;
    for (;; done++) {
        switch (code[at++]) {
        case PUSH: *top++ = code[at++]; break;
        case LOAD: *top++ = cells[code[at++]]; break;
        case STORE: cells[code[at++]] = *--top; break;
        case ADD: top--; top[-1] += *top; break;
        case MULTIPLY: top--; top[-1] *= *top; break;
        case HALVE: top[-1] >>= 1; break;
        case IS_ODD: top[-1] &= 1; break;
        case LESS: top--; top[-1] = top[-1] < *top; break;
        case JUMP: at = code[at]; break;
        case IF_ZERO: at = *--top ? at + 1 : code[at]; break;
        default: return done;
        }
    }
}

int main(void)
{
    u32 done = run(program);
    report("Collatz's sequences that start below: ", SIZE);
    report("steps: ", cells[STEPS]);
    report("instructions of the byte code: ", done);
    return 0;
}
