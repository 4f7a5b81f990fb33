/* A kernel that is never done with its locks: what it does all day is to switch interrupts off and
   on again, as kernels do around whatever a handler could touch too.

   Two accounts; the kernel moves money from one to the other and back, and the timer's handler moves
   some too. A move reads both and writes both, and between the two no handler may come, or what it
   did is lost. In the end the sum is what it was, and each tick has left its money. Every line is the
   same on every run, and on QEMU.

   Sources: Intel SDM, volume 3, section 6.8.1; Intel 8259A and 8254 data sheets. */

#include "../program/guest.h"

#define SMALL 20000
#define LARGE 1000000

#define CODE 0x08
#define DATA 0x10
#define TIMER 0x20
#define PERIOD 59 /* of the timer, in ticks of 1,193,182 Hz: no multiple of a round's length */
#define SUM 1000000u
#define BY_TICK 7

struct pointer {
    u16 limit;
    u32 base;
} __attribute__((packed));

static u32 gdt[3][2] = {{0, 0}, {0x0000FFFF, 0x00CF9A00}, {0x0000FFFF, 0x00CF9200}};
static u32 idt[TIMER + 1][2];
static volatile u32 mine = SUM, yours, ticks;

void on_timer(void);
__asm__("on_timer: pusha\n\t"
        "cld\n\t"
        "call tick\n\t"
        "mov $0x20, %al\n\t" /* end of interrupt */
        "out %al, $0x20\n\t"
        "popa\n\t"
        "iret");

static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static void move(u32 money)
{
    u32 from = mine, to = yours;
    mine = from - money;
    yours = to + money;
}

void tick(void)
{
    ticks++;
    move(BY_TICK);
}

static void make_tables(void)
{
    struct pointer to_gdt = {sizeof gdt - 1, (u32)gdt}, to_idt = {sizeof idt - 1, (u32)idt};
    idt[TIMER][0] = CODE << 16 | ((u32)on_timer & 0xFFFF);
    idt[TIMER][1] = ((u32)on_timer & 0xFFFF0000) | 0x8E00;
    __asm__ volatile("lgdt %0\n\t"
                     "lidt %1\n\t"
                     "ljmp %2, $1f\n"
                     "1:\tmov %3, %%ss\n\t"
                     "mov %3, %%ds\n\t"
                     "mov %3, %%es"
                     :
                     : "m"(to_gdt), "m"(to_idt), "i"(CODE), "r"(DATA)
                     : "memory");
}

static void start_timer(void)
{
    outb(0x20, 0x11), outb(0xA0, 0x11);
    outb(0x21, TIMER), outb(0xA1, TIMER + 8);
    outb(0x21, 4), outb(0xA1, 2);
    outb(0x21, 1), outb(0xA1, 1);
    outb(0x21, 0xFE), outb(0xA1, 0xFF);
    outb(0x43, 0x34), outb(0x40, PERIOD), outb(0x40, 0);
}

/* A lock that may be taken where interrupts are off already: it leaves them as it found them. */
static u32 lock(void)
{
    u32 flags;
    __asm__ volatile("pushf\n\tpop %0\n\tcli" : "=r"(flags) : : "memory");
    return flags;
}

static void unlock(u32 flags) { __asm__ volatile("push %0\n\tpopf" : : "r"(flags) : "memory", "cc"); }

int main(void)
{
    make_tables();
    start_timer();
    __asm__ volatile("sti");
    for (u32 round = 0; round < SIZE; round++) {
        u32 flags = lock();
        move(scatter(round) & 0xFF);
        unlock(flags);
        __asm__ volatile("cli" : : : "memory");
        move(-(scatter(round) & 0xFF));
        __asm__ volatile("sti" : : : "memory");
    }
    __asm__ volatile("cli" : : : "memory");
    report("locks: rounds ", SIZE);
    report("locks: the sum is ", mine + yours);
    u32 held = mine + yours == SUM && yours == BY_TICK * ticks && ticks > 0;
    say(held ? "locks: they held\n" : "locks: they did not hold\n");
    return !held;
}
