/* A shell: it reads a line, does what the first word says, and says what came of it. With a person at
   the other end of the serial port, or a file. It runs in QEMU as it does here. */

#include "shell.h"

static u32 sector[SECTOR / 4];

static int is_word(const char **line, const char *word)
{
    const char *at = *line;
    while (*word && *at == *word)
        at++, word++;
    if (*word || (*at && *at != ' '))
        return 0;
    while (*at == ' ')
        at++;
    *line = at;
    return 1;
}

static void say_signed(u32 value)
{
    if (value >> 31)
        say("-");
    say_number(value >> 31 ? 0 - value : value);
}

static void calc(const char *text)
{
    u32 value;
    const char *wrong = calculate(text, &value);
    if (wrong)
        say(wrong);
    else
        say_signed(value);
    say("\n");
}

static u32 primes_below(u32 end)
{
    u32 found = 0;
    for (u32 number = 2; number < end; number++) {
        u32 factor = 2;
        while (factor * factor <= number && number % factor)
            factor++;
        found += factor * factor > number;
    }
    return found;
}

static void say_byte(u32 byte)
{
    char text[4] = {"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15], ' ', 0};
    say(text);
}

/* The sector's first 64 bytes, 16 to a line: as numbers, and as letters where they are any. */
static void dump(const u8 *bytes)
{
    for (u32 line = 0; line < 4; line++, bytes += 16) {
        char letters[18];
        for (u32 k = 0; k < 16; k++) {
            say_byte(bytes[k]);
            letters[k] = bytes[k] >= ' ' && bytes[k] < 127 ? (char)bytes[k] : '.';
        }
        letters[16] = '\n', letters[17] = 0;
        say(letters);
    }
}

static void disk(const char *line, int write)
{
    u32 number;
    if (!parse_number(&line, &number)) {
        say("which sector?\n");
        return;
    }
    if (write) {
        u8 *to = (u8 *)sector;
        line += *line == ' ';
        for (u32 k = 0; k < SECTOR; k++)
            to[k] = *line ? (u8)*line++ : 0;
    }
    switch (move_sector(number, sector, write)) {
    case NO_DISK:
        say("there is no disk\n");
        break;
    case NO_SECTOR:
        say("there is no such sector\n");
        break;
    default:
        dump((const u8 *)sector);
    }
}

static void with_number(const char *line, u32 otherwise, void (*act)(u32))
{
    u32 number = otherwise;
    parse_number(&line, &number);
    act(number);
}

static void primes(u32 end) { report("primes: ", primes_below(end)); }

static void wait(u32 ticks)
{
    wait_for_ticks(ticks);
    report("hundredths of a second: ", ticks);
}

static void help(void)
{
    say("echo TEXT        say it\n"
        "calc SUM         such as calc 2 + 3 * (4 - 5)\n"
        "primes N         count those below N\n"
        "read N           the beginning of a sector of the disk\n"
        "write N TEXT     fill a sector\n"
        "wait N           hundredths of a second, halted\n"
        "exit N           end the machine\n");
}

int main(void)
{
    static char buffer[LONGEST + 1];
    u32 status = 0;
    start_devices();
    say("virtlab shell; try help\n");
    for (;;) {
        const char *line = buffer;
        say("> ");
        if (!read_line(buffer))
            continue;
        if (is_word(&line, "exit")) {
            parse_number(&line, &status);
            return (int)status;
        }
        if (is_word(&line, "help"))
            help();
        else if (is_word(&line, "echo"))
            say(line), say("\n");
        else if (is_word(&line, "calc"))
            calc(line);
        else if (is_word(&line, "primes"))
            with_number(line, 1000, primes);
        else if (is_word(&line, "wait"))
            with_number(line, 10, wait);
        else if (is_word(&line, "read"))
            disk(line, 0);
        else if (is_word(&line, "write"))
            disk(line, 1);
        else
            say("no such command; try help\n");
    }
}
