/* The three tables of the processor: what segments there are (GDT), where traps go (IDT), and on
   which stack (TSS). Source: Intel SDM, volume 3, sections 3.4.5, 6.11 and 7.2.1. */

#include "kernel.h"

struct pointer {
    u16 limit;
    u32 base;
} __attribute__((packed));

static struct {
    u32 link, esp0, ss0, unused[22];
    u16 trace, io_map; /* a map beyond the limit: ring 3 may use no port */
} tss = {.ss0 = KERNEL_DATA, .io_map = sizeof tss};

/* Four flat segments: paging, not segments, keeps ring 3 from the kernel. They differ by code or
   data (9A, 92) and by the ring they are for (FA, F2: 3). The CF is: 4 GB, 32 bits. */
static u32 gdt[][2] = {
    {0, 0}, /* none */
    {0x0000FFFF, 0x00CF9A00}, {0x0000FFFF, 0x00CF9200},
    {0x0000FFFF, 0x00CFFA00}, {0x0000FFFF, 0x00CFF200},
    {0, 0}, /* the TSS */
};

static u32 idt[SYSTEM_CALL + 1][2];

/* An interrupt gate: to ring 0, with interrupts off. `ring` is who may come here by `int n`. */
static void set_gate(u32 vector, u32 handler, u32 ring)
{
    idt[vector][0] = KERNEL_CODE << 16 | (handler & 0xFFFF);
    idt[vector][1] = (handler & 0xFFFF0000) | 0x8E00 | ring << 13;
}

void set_kernel_stack(u32 top) { tss.esp0 = top; }

void make_tables(void)
{
    u32 base = (u32)&tss;
    gdt[TASK / 8][0] = base << 16 | (sizeof tss - 1);
    gdt[TASK / 8][1] = (base & 0xFF000000) | 0x8900 | (base >> 16 & 0xFF);
    for (u32 vector = 0; vector <= TIMER; vector++)
        set_gate(vector, entries[vector], 0);
    set_gate(SYSTEM_CALL, (u32)system_call_entry, 3);

    struct pointer to_gdt = {sizeof gdt - 1, (u32)gdt}, to_idt = {sizeof idt - 1, (u32)idt};
    __asm__ volatile("lgdt %0\n\t"
                     "lidt %1\n\t"
                     "ljmp %2, $1f\n"
                     "1:\tmov %3, %%ss\n\t"
                     /* Ring 0 may use ring 3's data segments; so traps need not change them. */
                     "mov %4, %%ds\n\t"
                     "mov %4, %%es\n\t"
                     "ltr %5"
                     :
                     : "m"(to_gdt), "m"(to_idt), "i"(KERNEL_CODE), "r"(KERNEL_DATA),
                       "r"(USER_DATA), "r"((u16)TASK)
                     : "memory");
}
