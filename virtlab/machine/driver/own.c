/* The driver of a disk that no factory made: it exists in virtual machines only, so it can be as
   simple as a driver wants. One word tells where a description of the request is; the device moves
   the data itself, and interrupts when all is done. */

#include "driver.h"

enum { PORT = 0x600, DONE = 1 };

static struct {
    u32 lba, sectors, address, write;
} description;

static struct request *current;

void start_own(struct request *request)
{
    current = request;
    description.lba = request->lba;
    description.sectors = request->sectors;
    description.address = (u32)request->at;
    description.write = request->write;
    __asm__ volatile("" : : : "memory"); /* all of it is in memory before the device hears of it */
    outl(PORT, (u32)&description);
}

void own_interrupt(void)
{
    current->failed = inl(PORT) != DONE; /* reading it takes the interrupt back */
    current->done = 1;
}
