/* Paging: one page table for the kernel, which is in every directory, and one for each process.
   Source: Intel SDM, volume 3, section 4.3. */

#include "kernel.h"

enum { PRESENT = 1, WRITABLE = 2, USER = 4, ENTRIES = 1024, FRAMES = 16 };

#define PAGING (1u << 31)       /* of CR0 */
#define WRITE_PROTECT (1u << 16) /* of CR0: read only is so for ring 0 too */

static u32 kernel_table[ENTRIES] __attribute__((aligned(PAGE)));
static u8 frames[FRAMES][PAGE] __attribute__((aligned(PAGE)));
static u32 used;

/* A frame of zeros: the loader has cleared .bss, and no frame is ever given back. */
static void *new_frame(void)
{
    if (used == FRAMES) {
        say("kernel: out of memory\n");
        power_off(1);
    }
    return frames[used++];
}

/* A directory: the kernel's 4 MB, which ring 3 may not touch, and a process's, still empty but for
   the program. Each table says who may touch a page; so the directory's entry does not have to. */
u32 *make_directory(void)
{
    u32 *directory = new_frame(), *table = new_frame();
    directory[0] = (u32)kernel_table | WRITABLE | PRESENT;
    directory[1] = (u32)table | USER | WRITABLE | PRESENT;
    table[0] = (u32)program_frame | USER | PRESENT;
    return directory;
}

/* Give a process a page of its own; return its frame, which the kernel sees where it is. */
void *give_page(u32 *directory, u32 address)
{
    u32 *table = (u32 *)(directory[1] & ~(u32)(PAGE - 1));
    void *frame = new_frame();
    table[address / PAGE % ENTRIES] = (u32)frame | USER | WRITABLE | PRESENT;
    return frame;
}

void use_directory(const u32 *directory)
{
    __asm__ volatile("mov %0, %%cr3" : : "r"(directory) : "memory"); /* empties the TLB too */
}

/* Switch paging on. The kernel's pages lie where they are (an identity map), so that the next
   instruction is still there. */
void start_paging(void)
{
    u32 cr0;
    for (u32 page = 0; page < ENTRIES; page++)
        kernel_table[page] = page * PAGE | WRITABLE | PRESENT;
    use_directory(make_directory());
    __asm__ volatile("mov %%cr0, %0" : "=r"(cr0));
    __asm__ volatile("mov %0, %%cr0" : : "r"(cr0 | PAGING | WRITE_PROTECT) : "memory");
}
