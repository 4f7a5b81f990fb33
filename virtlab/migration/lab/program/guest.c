/* The guest of the home lab: fills memory with pages that are not zero, then writes to a working
   set at a set rate, and says on its serial port how many writes it has made.

   It is a whole operating system of its own, as small as can be: no paging, one interrupt (the
   timer, which ends a `hlt`, so that an idle guest costs the host nothing). Time is the processor's
   time stamp counter, held against the ACPI timer (3,579,545 Hz) at the start. It stands still while
   the hypervisor has the guest stopped, as does the counter of writes.

   Its parameters are its command line: fill=MIB ws=PAGES rate=WRITES_A_SECOND mode=rr|random
   hot=PAGES hotpct=PERCENT first=PAGE (where the turn begins) seed=NUMBER (of chance). How many
   writes are due follows from the time since the start and never from the time of the last write,
   so that nothing drifts. */

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

enum {
    COM1 = 0x3F8,
    ACPI_TIMER = 0x608, /* where QEMU's firmware puts it on the machine `pc` */
    ACPI_HZ = 3579545,
    PIT_HZ = 1193182,
    TICKS_HZ = 1000,
    REPORTS_HZ = 10,
    PAGE = 4096,
    FILL_FROM = 16 << 20,
    TSC_SHIFT = 4, /* a unit of time is 16 cycles: its frequency fits 32 bits */
};

static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static u8 inb(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static u32 inl(u16 port)
{
    u32 value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static u64 cycles(void)
{
    u64 value;
    __asm__ volatile("rdtsc" : "=A"(value));
    return value;
}

/* a * b / c without a library for 64 bits; the quotient must fit 32 bits. */
static u32 mul_div(u32 a, u32 b, u32 c)
{
    u32 high, low, rest;
    __asm__("mull %3" : "=a"(low), "=d"(high) : "0"(a), "rm"(b));
    __asm__("divl %4" : "=a"(low), "=d"(rest) : "0"(low), "1"(high), "rm"(c));
    return low;
}

/* -- the serial port ------------------------------------------------------------------------- */

static void say(const char *text)
{
    for (; *text; text++) {
        while (!(inb(COM1 + 5) & 0x20))
            ;
        outb(COM1, (u8)*text);
    }
}

static void say_number(const char *before, u32 value)
{
    char digits[11];
    char *at = digits + sizeof digits - 1;
    *at = 0;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    say(before);
    say(at);
}

static void stop(const char *why)
{
    say("error: ");
    say(why);
    say("\n");
    for (;;)
        __asm__ volatile("cli; hlt");
}

/* -- parameters ------------------------------------------------------------------------------- */

static const char *value_of(const char *line, const char *key)
{
    for (; *line; line++) {
        const char *a = line, *b = key;
        while (*b && *a == *b)
            a++, b++;
        if (!*b && *a == '=')
            return a + 1;
        while (*line && *line != ' ')
            line++;
        if (!*line)
            break;
    }
    return 0;
}

static u32 number_of(const char *line, const char *key, u32 otherwise)
{
    const char *at = value_of(line, key);
    u32 value = 0;
    if (!at)
        return otherwise;
    for (; *at >= '0' && *at <= '9'; at++)
        value = value * 10 + (u32)(*at - '0');
    return value;
}

/* -- time ------------------------------------------------------------------------------------- */

struct gate { u16 low, selector, kind, high; } __attribute__((packed));
static struct gate gates[33] __attribute__((aligned(8)));
extern void on_tick(void);

static void start_ticks(void)
{
    u32 entry = (u32)on_tick;
    struct { u16 size; u32 at; } __attribute__((packed)) table = {sizeof gates - 1, (u32)gates};
    gates[32] = (struct gate){(u16)entry, 8, 0x8E00, (u16)(entry >> 16)};
    __asm__ volatile("lidt %0" : : "m"(table));
    outb(0x20, 0x11), outb(0x21, 32), outb(0x21, 4), outb(0x21, 1); /* first controller: from 32 */
    outb(0x21, 0xFE);                                               /* the timer alone */
    outb(0xA1, 0xFF);
    outb(0x43, 0x34); /* timer 0, mode 2: again and again */
    outb(0x40, (PIT_HZ / TICKS_HZ) & 0xFF), outb(0x40, (PIT_HZ / TICKS_HZ) >> 8);
    __asm__ volatile("sti");
}

/* Read both clocks at one moment: again if the host took the processor away in between. */
static u32 both(u64 *tsc)
{
    u64 before, after, best = ~0ull;
    u32 at = 0;
    for (int tries = 0; tries < 50; tries++) {
        before = cycles();
        u32 timer = inl(ACPI_TIMER) & 0xFFFFFF;
        after = cycles();
        if (after - before < best) {
            best = after - before;
            *tsc = before + best / 2;
            at = timer;
        }
    }
    return at;
}

static u32 units_per_second(void)
{
    u64 first, last;
    u32 from = both(&first), passed;
    do
        passed = (inl(ACPI_TIMER) - from) & 0xFFFFFF;
    while (passed < ACPI_HZ / 4);
    passed = (both(&last) - from) & 0xFFFFFF;
    return mul_div((u32)((last - first) >> TSC_SHIFT), ACPI_HZ, passed);
}

/* -- writes ------------------------------------------------------------------------------------ */

static u32 working_set, hot, hot_pct, random_order, state, turn;

static u32 chance(void)
{
    state ^= state << 13, state ^= state >> 17, state ^= state << 5; /* Marsaglia 2003, xorshift */
    return state;
}

static u32 by_chance(u32 pages) { return (u32)(((u64)chance() * pages) >> 32); }

static u32 in_turn(u32 pages)
{
    if (turn >= pages)
        turn = 0;
    return turn++;
}

static u32 next_page(void)
{
    static u32 due;
    if (random_order)
        return by_chance(working_set);
    due += hot_pct; /* of each hundred writes, hot_pct are hot, evenly spread */
    if (due >= 100) {
        due -= 100;
        return by_chance(hot);
    }
    return hot + in_turn(working_set - hot);
}

static void fill(u32 pages)
{
    u32 *word = (u32 *)FILL_FROM, value = 1;
    for (u32 *end = word + pages * (PAGE / 4); word < end; word++)
        *word = value += 2654435761u | 1; /* each page another content, and none of zeros */
}

static void write_for_ever(u32 rate, u32 hz)
{
    u64 start = cycles();
    u32 writes = 0, seconds = 0, reported = ~0u, latest = 0;
    for (;;) {
        u64 now = (cycles() - start) >> TSC_SHIFT;
        while (now >= hz) {
            now -= hz;
            start += (u64)hz << TSC_SHIFT;
            seconds++;
        }
        u32 due = seconds * rate + mul_div((u32)now, rate, hz);
        if (due - writes > latest)
            latest = due - writes;
        for (; writes != due; writes++)
            ((volatile u32 *)FILL_FROM)[next_page() * (PAGE / 4)] = writes | 1;
        u32 report = seconds * REPORTS_HZ + mul_div((u32)now, REPORTS_HZ, hz);
        if (report != reported) {
            reported = report;
            say_number("writes ", writes);
            say_number(" tenths ", report);
            say_number(" late ", latest);
            say("\n");
            latest = 0;
        }
        __asm__ volatile("hlt");
    }
}

struct loaded { u32 flags, lower_kib, upper_kib, boot_device; const char *line; };

void guest_main(u32 magic, const struct loaded *loaded)
{
    outb(COM1 + 1, 0), outb(COM1 + 3, 3); /* no interrupts; 8 bits, no parity */
    if (magic != 0x2BADB002 || (loaded->flags & 5) != 5)
        stop("not started by a Multiboot loader with a command line");
    const char *line = loaded->line, *mode = value_of(line, "mode");
    u32 pages = number_of(line, "fill", 16) * (1048576 / PAGE), rate = number_of(line, "rate", 0);
    u32 there = (loaded->upper_kib + 1024) / (PAGE / 1024);
    working_set = number_of(line, "ws", pages);
    hot = number_of(line, "hot", 0);
    hot_pct = hot ? number_of(line, "hotpct", 0) : 0;
    turn = number_of(line, "first", 0);
    state = number_of(line, "seed", 1) * 2654435761u | 1;
    random_order = mode && mode[0] == 'r' && mode[1] == 'a';
    if (FILL_FROM / PAGE + pages > there)
        stop("fill: more than there is of memory");
    if (!working_set || working_set > pages || hot >= working_set || hot_pct > 100)
        stop("ws, hot: more than is filled");
    fill(pages);
    start_ticks();
    u32 hz = units_per_second();
    say_number("filled ", pages);
    say_number(" hz ", hz);
    say("\n");
    write_for_ever(rate, hz);
}
