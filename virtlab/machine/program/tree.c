/* A search tree of scattered keys, whose order a function gives: loads that each wait for the one
   before, and calls of what only a variable names. */

#define SMALL 300
#define LARGE 150000
#include "guest.h"

struct node {
    struct node *less, *more;
    u32 key, count;
};

typedef int (*Order)(u32 a, u32 b);

enum { KEYS = 1 << 16, NODES = SIZE < KEYS ? SIZE : KEYS };
static struct node nodes[NODES];
static u32 used;

/* The top bits of the hash hashed again, which follow no pattern: else the tree had long branches. */
static u32 key(u32 place)
{
    u32 hash = scatter(place);
    return scatter(hash ^ hash >> 15) / (~0u / KEYS + 1);
}

static int rising(u32 a, u32 b) { return a < b ? -1 : a > b; }
static int falling(u32 a, u32 b) { return rising(b, a); }

static void insert(struct node **at, u32 key, Order order)
{
    while (*at) {
        int way = order(key, (*at)->key);
        if (way == 0) {
            (*at)->count++;
            return;
        }
        at = way < 0 ? &(*at)->less : &(*at)->more;
    }
    *at = &nodes[used++];
    **at = (struct node){.key = key, .count = 1};
}

static u32 place, sum;

/* The sum of place times key tells every order from every other but by rare chance. */
static void walk(const struct node *at)
{
    if (!at)
        return;
    walk(at->less);
    sum += ++place * at->key * at->count;
    walk(at->more);
}

static void sorted(const char *how, Order order)
{
    struct node *root = 0;
    used = place = sum = 0;
    for (u32 i = 0; i < SIZE; i++)
        insert(&root, key(i), order);
    walk(root);
    say(how);
    report(", different keys: ", used);
    say("  sum of place times key times count: ");
    say_hex(sum);
    say("\n");
}

int main(void)
{
    report("keys: ", SIZE);
    sorted("rising", rising);
    sorted("falling", falling);
    return 0;
}
