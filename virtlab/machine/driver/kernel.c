/* Tables, system calls, and the end of an interrupt. Sources: Intel SDM, volume 3, sections 3.4.5,
   6.11 and 7.2.1; Intel 8259A data sheet. */

#include "driver.h"

enum { MASTER = 0x20, SLAVE = 0xA0, END_OF_INTERRUPT = 0x20, EXCEPTIONS = 20 };

struct pointer {
    u16 limit;
    u32 base;
} __attribute__((packed));

extern u8 kernel_stack_top[];

static struct {
    u32 link, esp0, ss0, unused[22];
    u16 trace, io_map; /* a map beyond the limit: ring 3 may use no port */
} tss = {.esp0 = (u32)kernel_stack_top, .ss0 = KERNEL_DATA, .io_map = sizeof tss};

static u32 gdt[][2] = {
    {0, 0}, /* none */
    {0x0000FFFF, 0x00CF9A00}, {0x0000FFFF, 0x00CF9200}, /* ring 0: code, data */
    {0x0000FFFF, 0x00CFFA00}, {0x0000FFFF, 0x00CFF200}, /* ring 3 */
    {0, 0}, /* the TSS */
};

static u32 idt[SYSTEM_CALL + 1][2];

/* An interrupt gate: to ring 0, with interrupts off. `ring` is who may come here by `int n`. */
static void set_gate(u32 vector, void (*handler)(void), u32 ring)
{
    idt[vector][0] = KERNEL_CODE << 16 | ((u32)handler & 0xFFFF);
    idt[vector][1] = ((u32)handler & 0xFFFF0000) | 0x8E00 | ring << 13;
}

static void make_tables(void)
{
    u32 base = (u32)&tss;
    gdt[TASK / 8][0] = base << 16 | (sizeof tss - 1);
    gdt[TASK / 8][1] = (base & 0xFF000000) | 0x8900 | (base >> 16 & 0xFF);
    for (u32 vector = 0; vector < EXCEPTIONS; vector++)
        set_gate(vector, fault_entry, 0);
    set_gate(LINE_0 + OWN_LINE, own_entry, 0);
    set_gate(LINE_0 + ATA_LINE, ata_entry, 0);
    set_gate(SYSTEM_CALL, call_entry, 3);

    struct pointer to_gdt = {sizeof gdt - 1, (u32)gdt}, to_idt = {sizeof idt - 1, (u32)idt};
    __asm__ volatile("lgdt %0\n\t"
                     "lidt %1\n\t"
                     "ljmp %2, $1f\n"
                     "1:\tmov %3, %%ss\n\t"
                     "mov %4, %%ds\n\t" /* ring 0 may use ring 3's data segments */
                     "mov %4, %%es\n\t"
                     "ltr %5"
                     :
                     : "m"(to_gdt), "m"(to_idt), "i"(KERNEL_CODE), "r"(KERNEL_DATA),
                       "r"(USER_DATA), "r"((u16)TASK)
                     : "memory");
}

static void start_interrupts(void)
{
    outb(MASTER, 0x11), outb(SLAVE, 0x11);                /* four bytes follow */
    outb(MASTER + 1, LINE_0), outb(SLAVE + 1, LINE_0 + 8);
    outb(MASTER + 1, 4), outb(SLAVE + 1, 2);              /* the slave is on the master's line 2 */
    outb(MASTER + 1, 1), outb(SLAVE + 1, 1);              /* 8086 mode */
    outb(MASTER + 1, 0xFF & ~(1 << 2));                   /* masks: the two disks may interrupt */
    outb(SLAVE + 1, 0xFF & ~(1 << (OWN_LINE - 8) | 1 << (ATA_LINE - 8)));
}

void end_of_interrupt(void); /* called by entry.S */
void end_of_interrupt(void) { outb(SLAVE, END_OF_INTERRUPT), outb(MASTER, END_OF_INTERRUPT); }

/* Start a request, and let the processor halt until it is done: its interrupts wake it. */
static u32 transfer(u32 lba, u32 sectors, void *buffer, u32 write)
{
    static struct request request;
    request = (struct request){.lba = lba, .sectors = sectors, .at = buffer, .write = write};
    if (task.own)
        start_own(&request);
    else
        start_ata(&request);
    while (!request.done)
        __asm__ volatile("sti\n\thlt\n\tcli" : : : "memory");
    return request.failed;
}

void system_call(struct frame *frame); /* called by entry.S */
void system_call(struct frame *frame)
{
    switch (frame->eax) {
    case READ_CALL:
    case WRITE_CALL:
        frame->eax = transfer(frame->ebx, frame->ecx, (void *)frame->edx,
                              frame->eax == WRITE_CALL);
        break;
    case SAY_CALL:
        say_bytes((const char *)frame->ebx, frame->ecx);
        break;
    default:
        power_off(frame->ebx);
    }
}

_Noreturn void main(void);
_Noreturn void main(void)
{
    make_tables();
    start_interrupts();
    to_ring_3();
}
