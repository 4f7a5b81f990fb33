/* The driver of an ATA disk by programmed I/O: the processor itself moves each word.
   Source: ATA/ATAPI-4, sections 8 and 9. */

#include "driver.h"

enum {
    DATA = 0x1F0, COUNT = 0x1F2,
    LOW, MIDDLE, HIGH, DEVICE, COMMAND,
    WANTS_DATA = 8, ERROR = 1, LBA_MODE = 0xE0, READ = 0x20, WRITE = 0x30,
};

static struct request *current;

/* Move a sector through the data port: 128 times four bytes. */
static void move_sector(void)
{
    u32 times = SECTOR / 4;
    if (current->write)
        __asm__ volatile("rep outsl" : "+S"(current->at), "+c"(times) : "d"(DATA) : "memory");
    else
        __asm__ volatile("rep insl" : "+D"(current->at), "+c"(times) : "d"(DATA) : "memory");
    current->sectors--;
}

void start_ata(struct request *request)
{
    current = request;
    outb(COUNT, (u8)request->sectors);
    outb(LOW, (u8)request->lba);
    outb(MIDDLE, (u8)(request->lba >> 8));
    outb(HIGH, (u8)(request->lba >> 16));
    outb(DEVICE, LBA_MODE | request->lba >> 24);
    outb(COMMAND, request->write ? WRITE : READ);
    if (request->write)
        move_sector(); /* the first one is wanted at once, without an interrupt */
}

/* An interrupt for each sector: one is there to be read, or the next may be written. */
void ata_interrupt(void)
{
    u8 status = inb(COMMAND); /* reading it takes the interrupt back */
    if (status & ERROR)
        current->failed = current->done = 1;
    else if (status & WANTS_DATA)
        move_sector();
    if (current->write ? !(status & WANTS_DATA) : !current->sectors)
        current->done = 1;
}
