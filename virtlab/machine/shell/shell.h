/* A kernel that one talks to: a line in, an answer out. */

#include "../program/guest.h"

#define SECTOR 512
#define LONGEST 80 /* letters of a line */

/* devices.c: what the machine is made of. */
void start_devices(void);
u32 read_line(char *line);                       /* how many letters; Enter is not among them */
void wait_for_ticks(u32 ticks);                  /* hundredths of a second */
enum disk_answer { DONE, NO_DISK, NO_SECTOR };
enum disk_answer move_sector(u32 number, u32 *buffer, int write);

/* numbers.c: what a line says. */
int parse_number(const char **at, u32 *value);
const char *calculate(const char *text, u32 *value); /* 0, or what is wrong */
