/* The devices, each by its interrupt: between two of them the processor halts, and costs nothing.
   Sources: Intel SDM, volume 3, sections 3.4.5 and 6.11; Intel 8259A and 8254, National PC16550D data
   sheets; ATA/ATAPI-4, section 9. */

#include "shell.h"

enum {
    CODE = 0x08, DATA = 0x10, LINE_0 = 0x20, /* vector of the first interrupt line */
    TIMER = 0, SERIAL = 4, DISK = 14,        /* lines */
    MASTER = 0x20, SLAVE = 0xA0, TIMER_PORT = 0x40, COM1 = 0x3F8, ATA = 0x1F0,
    TICK = 11932,                            /* of 1,193,182 a second: a hundredth */
    QUEUE = 64,                               /* letters typed ahead; a power of two */
};

struct pointer {
    u16 limit;
    u32 base;
} __attribute__((packed));

static u32 gdt[3][2] = {{0, 0}, {0x0000FFFF, 0x00CF9A00}, {0x0000FFFF, 0x00CF9200}};
static u32 idt[LINE_0 + 16][2];
static volatile u8 typed[QUEUE];
static volatile u32 put, taken; /* how many letters ever came, and were read */
static volatile u32 ticks, disk_is_ready;

void on_timer(void), on_serial(void), on_disk(void);
void serial_interrupt(void), disk_interrupt(void), timer_interrupt(void);

/* A handler: it saves what compiled code may use, and ends service at the first controller. */
#define HANDLER(name, function)                                                                    \
    __asm__(#name ": pusha\n\tcld\n\tcall " #function "\n\t"                                       \
            "mov $0x20, %al\n\tout %al, $0x20\n\tpopa\n\tiret")
HANDLER(on_timer, timer_interrupt);
HANDLER(on_serial, serial_interrupt);
HANDLER(on_disk, disk_interrupt);

static void outb(u16 port, u8 value) { __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port)); }

static u8 inb(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void timer_interrupt(void) { ticks++; }

void serial_interrupt(void)
{
    while (put - taken < QUEUE && inb(COM1 + 5) & 1)
        typed[put++ % QUEUE] = inb(COM1);
    if (put - taken == QUEUE)
        outb(COM1 + 1, 0); /* what comes now waits in the chip, and in the wire */
}

void disk_interrupt(void)
{
    inb(ATA + 7); /* which takes the request back */
    disk_is_ready = 1;
    outb(SLAVE, 0x20);
}

static void set_gate(u32 line, void (*handler)(void))
{
    idt[LINE_0 + line][0] = CODE << 16 | ((u32)handler & 0xFFFF);
    idt[LINE_0 + line][1] = ((u32)handler & 0xFFFF0000) | 0x8E00;
}

static void allow(int timer)
{
    outb(MASTER + 1, (u8) ~(1 << SERIAL | 1 << 2 | timer << TIMER));
}

void start_devices(void)
{
    struct pointer to_gdt = {sizeof gdt - 1, (u32)gdt}, to_idt = {sizeof idt - 1, (u32)idt};
    set_gate(TIMER, on_timer);
    set_gate(SERIAL, on_serial);
    set_gate(DISK, on_disk);
    __asm__ volatile("lgdt %0\n\t"
                     "lidt %1\n\t"
                     "ljmp %2, $1f\n"
                     "1:\tmov %3, %%ss\n\t"
                     "mov %3, %%ds\n\t"
                     "mov %3, %%es"
                     :
                     : "m"(to_gdt), "m"(to_idt), "i"(CODE), "r"(DATA)
                     : "memory");
    outb(MASTER, 0x11), outb(SLAVE, 0x11);
    outb(MASTER + 1, LINE_0), outb(SLAVE + 1, LINE_0 + 8);
    outb(MASTER + 1, 4), outb(SLAVE + 1, 2);
    outb(MASTER + 1, 1), outb(SLAVE + 1, 1);
    allow(0), outb(SLAVE + 1, (u8) ~(1 << (DISK - 8)));
    outb(COM1 + 1, 1);    /* interrupt when a byte has come ... */
    outb(COM1 + 4, 0x0B); /* ... and let the interrupt out of the chip */
    __asm__ volatile("sti");
}

/* Halt until something is not 0. The instruction after sti still runs without interrupts, so none
   can come between the question and the halt. */
#define WAIT_FOR(something)                                                                        \
    do {                                                                                           \
        __asm__ volatile("cli");                                                                   \
        while (!(something))                                                                       \
            __asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");                                  \
        __asm__ volatile("sti");                                                                   \
    } while (0)

static u8 read_letter(void)
{
    WAIT_FOR(put != taken);
    u8 letter = typed[taken++ % QUEUE];
    outb(COM1 + 1, 1); /* there is room again */
    return letter;
}

u32 read_line(char *line)
{
    u32 length = 0;
    for (;;) {
        u8 letter = read_letter();
        char shown[2] = {(char)letter, 0};
        if (letter == '\r' || letter == '\n') {
            say("\n");
            line[length] = 0;
            return length;
        }
        if ((letter == '\b' || letter == 127) && length) {
            say("\b \b");
            length--;
        }
        if (letter >= ' ' && letter < 127 && length < LONGEST) {
            line[length++] = (char)letter;
            say(shown);
        }
    }
}

void wait_for_ticks(u32 many)
{
    outb(TIMER_PORT + 3, 0x34), outb(TIMER_PORT, TICK & 0xFF), outb(TIMER_PORT, TICK >> 8);
    ticks = 0;
    allow(1);
    WAIT_FOR(ticks >= many);
    allow(0);
}

enum disk_answer move_sector(u32 number, u32 *buffer, int write)
{
    u32 words = SECTOR / 4;
    outb(ATA + 6, (u8)(0xE0 | (number >> 24 & 15))); /* the first disk, by number of the sector */
    u8 status = inb(ATA + 7);
    if (status == 0 || status == 0xFF)
        return NO_DISK;
    if (number >> 28)
        return NO_SECTOR;
    outb(ATA + 2, 1);
    outb(ATA + 3, (u8)number), outb(ATA + 4, (u8)(number >> 8)), outb(ATA + 5, (u8)(number >> 16));
    disk_is_ready = 0;
    outb(ATA + 7, write ? 0x30 : 0x20);
    if (write) { /* it asks for the data without an interrupt, and interrupts when it has it */
        while ((inb(ATA + 0x206) & 0x89) == 0x80)
            ;
        if (!(inb(ATA + 0x206) & 1))
            __asm__ volatile("rep outsl" : "+S"(buffer), "+c"(words) : "d"(ATA) : "memory");
    }
    WAIT_FOR(disk_is_ready);
    if (inb(ATA + 0x206) & 1)
        return NO_SECTOR;
    if (!write)
        __asm__ volatile("rep insl" : "+D"(buffer), "+c"(words) : "d"(ATA) : "memory");
    return DONE;
}
