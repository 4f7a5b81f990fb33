/* Numbers, and sums of them: a parser by recursive descent, a function for each rule.

       sum = product { ("+" | "-") product }
       product = value { ("*" | "/" | "%") value }
       value = number | "-" value | "(" sum ")"

   All of 32 bits, with a sign; what does not fit wraps around. */

#include "shell.h"

static const char *at, *wrong;
static int depth; /* of brackets: the stack has an end */

static int sum(void);

static void skip_spaces(void)
{
    while (*at == ' ')
        at++;
}

int parse_number(const char **from, u32 *value)
{
    while (**from == ' ')
        ++*from;
    if (**from < '0' || **from > '9')
        return 0;
    for (*value = 0; **from >= '0' && **from <= '9'; ++*from)
        *value = *value * 10 + (u32)(**from - '0');
    return 1;
}

static int value(void)
{
    u32 number = 0;
    int inner;
    skip_spaces();
    if (++depth > 50)
        wrong = "too deep";
    else if (*at == '-') {
        at++;
        number = 0 - (u32)value();
    } else if (*at == '(') {
        at++;
        inner = sum();
        number = (u32)inner;
        skip_spaces();
        if (*at != ')')
            wrong = "a bracket is open";
        else
            at++;
    } else if (!parse_number(&at, &number))
        wrong = "a number is missing";
    depth--;
    return (int)number;
}

static int divide(int a, int b, char sign)
{
    if (!b) {
        wrong = "division by zero";
        return 0;
    }
    if (b == -1) /* the one quotient that does not fit is a fault of the processor's */
        return sign == '/' ? (int)(0 - (u32)a) : 0;
    return sign == '/' ? a / b : a % b;
}

static int product(void)
{
    int result = value();
    for (skip_spaces(); !wrong && (*at == '*' || *at == '/' || *at == '%'); skip_spaces()) {
        char sign = *at++;
        int right = value();
        if (wrong)
            break;
        result = sign == '*' ? (int)((u32)result * (u32)right) : divide(result, right, sign);
    }
    return result;
}

static int sum(void)
{
    int result = product();
    for (skip_spaces(); !wrong && (*at == '+' || *at == '-'); skip_spaces()) {
        char sign = *at++;
        u32 right = (u32)product();
        result = (int)((u32)result + (sign == '+' ? right : 0 - right));
    }
    return result;
}

const char *calculate(const char *text, u32 *result)
{
    at = text, wrong = 0, depth = 0;
    *result = (u32)sum();
    if (!wrong && *at)
        wrong = "this is no sum";
    return wrong;
}
