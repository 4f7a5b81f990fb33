/* A kernel that looks at itself: it asks the processor what it is, and says what it hears.

   At ring 0, alone on its machine, it hears the truth. Each question is one instruction that a
   program may use at any ring; whoever runs this kernel at another ring can find out here which of
   them tell it about another machine. Every line is the same on every run, and on QEMU.

   Sources: Intel SDM, volume 3, sections 2.4 and 3.4.5; Intel 8259A and 8254 data sheets. */

#include "../program/guest.h"

#define CODE 0x08
#define DATA 0x10
#define TASK 0x18
#define TIMER 0x20
#define IF (1u << 9)
#define PERIOD 60 /* of the timer, in ticks of 1,193,182 Hz */
#define WAIT 1000 /* turns; ours does four instructions in each, QEMU takes about 1 microsecond */

struct pointer {
    u16 limit;
    u32 base;
} __attribute__((packed));

static u32 tss[26] = {[2] = DATA, [25] = 104u << 16};
static u32 gdt[4][2] = {{0, 0}, {0x0000FFFF, 0x00CF9A00}, {0x0000FFFF, 0x00CF9200}, {0, 0}};
static u32 idt[TIMER + 1][2];
volatile u32 ticks;

void on_timer(void);
__asm__("on_timer: push %eax\n\t"
        "incl ticks\n\t"
        "mov $0x20, %al\n\t" /* end of interrupt */
        "out %al, $0x20\n\t"
        "pop %eax\n\t"
        "iret");

static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static void make_tables(void)
{
    struct pointer to_gdt = {sizeof gdt - 1, (u32)gdt}, to_idt = {sizeof idt - 1, (u32)idt};
    gdt[TASK / 8][0] = (u32)tss << 16 | (sizeof tss - 1);
    gdt[TASK / 8][1] = ((u32)tss & 0xFF000000) | 0x8900 | ((u32)tss >> 16 & 0xFF);
    idt[TIMER][0] = CODE << 16 | ((u32)on_timer & 0xFFFF);
    idt[TIMER][1] = ((u32)on_timer & 0xFFFF0000) | 0x8E00;
    __asm__ volatile("lgdt %0\n\t"
                     "lidt %1\n\t"
                     "ljmp %2, $1f\n"
                     "1:\tmov %3, %%ss\n\t"
                     "mov %3, %%ds\n\t"
                     "mov %3, %%es\n\t"
                     "ltr %4"
                     :
                     : "m"(to_gdt), "m"(to_idt), "i"(CODE), "r"(DATA), "r"((u16)TASK)
                     : "memory");
}

/* The timer, on the first line of the interrupt controller, each 50 microseconds. */
static void start_timer(void)
{
    outb(0x20, 0x11), outb(0xA0, 0x11);
    outb(0x21, TIMER), outb(0xA1, TIMER + 8);
    outb(0x21, 4), outb(0xA1, 2);
    outb(0x21, 1), outb(0xA1, 1);
    outb(0x21, 0xFE), outb(0xA1, 0xFF);
    outb(0x43, 0x34), outb(0x40, PERIOD), outb(0x40, 0);
}

static u32 flags(void)
{
    u32 value;
    __asm__ volatile("pushf\n\tpop %0" : "=r"(value));
    return value;
}

/* Not inlined, so that the symbol table names the place. */
__attribute__((noinline)) static void set_flags(u32 value)
{
    __asm__ volatile("push %0\n\tpopf" : : "r"(value) : "memory", "cc");
}

static void tell(const char *question, u32 answer)
{
    say(question);
    say_hex(answer);
    say("\n");
}

/* Wait for the timer, or give up. */
static void wait_for_it(void)
{
    ticks = 0;
    for (u32 turn = 0; turn < WAIT && !ticks; turn++)
        __asm__ volatile("in $0x61, %%al" : : : "eax"); /* on a fast machine this takes its time */
}

static void ask_flags(void)
{
    __asm__ volatile("cli");
    tell("after cli, pushf says ", flags() & (IF | 3u << 12));
    set_flags(IF | 2);
    wait_for_it();
    set_flags(2);
    say(ticks ? "after popf with IF, the timer interrupts\n"
              : "after popf with IF, nothing interrupts\n");
    __asm__ volatile("sti");
    set_flags(2);
    wait_for_it();
    __asm__ volatile("cli");
    say(ticks ? "after popf without IF, the timer interrupts\n"
              : "after popf without IF, nothing interrupts\n");
}

static void ask_tables(void)
{
    struct pointer at;
    u32 selector = 0;
    __asm__ volatile("sgdt %0" : "=m"(at));
    tell("sgdt: it begins at ", at.base);
    tell("sgdt: its last byte is ", at.limit);
    say(at.base == (u32)gdt ? "sgdt: that is my own table\n" : "sgdt: that is not mine\n");
    __asm__ volatile("sidt %0" : "=m"(at));
    say(at.base == (u32)idt ? "sidt: that is my own table\n" : "sidt: that is not mine\n");
    __asm__ volatile("str %0" : "=r"(selector));
    tell("str: ", selector & 0xFFFF);
}

static void ask_ring(void)
{
    u32 code, stack, pushed, rights, limit, word;
    __asm__ volatile("mov %%cs, %0" : "=r"(code));
    __asm__ volatile("mov %%ss, %0" : "=r"(stack));
    __asm__ volatile("push %%cs\n\tpop %0" : "=r"(pushed));
    __asm__ volatile("lar %1, %0" : "=r"(rights) : "r"(DATA) : "cc");
    __asm__ volatile("lsl %1, %0" : "=r"(limit) : "r"(DATA) : "cc");
    __asm__ volatile("smsw %0" : "=r"(word));
    tell("mov from cs: ", code & 0xFFFF);
    tell("mov from ss: ", stack & 0xFFFF);
    tell("push cs: ", pushed & 0xFFFF);
    tell("lar, ring of my data: ", rights >> 13 & 3);
    tell("lsl, end of my data: ", limit);
    tell("smsw: ", word & 0xFFFF);
}

int main(void)
{
    say("mirror: what am I?\n");
    make_tables();
    start_timer();
    ask_ring();
    ask_tables();
    ask_flags();
    say("mirror: that is what I heard\n");
    return 0;
}
