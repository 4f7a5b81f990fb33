/* Numbers to be sorted, and what one can say of them afterwards; for the two programs that sort. */

static u32 numbers[SIZE];

static void fill(void)
{
    for (u32 i = 0; i < SIZE; i++)
        numbers[i] = scatter(i + 1) >> 8;
}

/* The sum of place times number tells every order from every other but by rare chance. */
static int say_what_came_out(void)
{
    u32 sum = 0, misplaced = 0;
    for (u32 i = 0; i < SIZE; i++) {
        sum += (i + 1) * numbers[i];
        misplaced += i > 0 && numbers[i - 1] > numbers[i];
    }
    report("numbers sorted: ", SIZE);
    report("smallest: ", numbers[0]);
    report("median: ", numbers[SIZE / 2]);
    report("largest: ", numbers[SIZE - 1]);
    say("sum of place times number: ");
    say_hex(sum);
    say("\n");
    return misplaced != 0;
}
