/* isPrime of Adams and Agesen, "A Comparison of Software and Hardware Techniques for x86
   Virtualization" (ASPLOS 2006), section 3.1: the function that their translator is shown on.

   It begins with the paper's bytes, 89 f9 be 02 00 00 00 39 ce 7d. The paper's is 64-bit code; what
   differs here is that `inc %esi` takes one byte instead of two. The argument comes in %edi, which
   stays as it is. isPrime(49) comes first and alone, as in the paper. */

#define SMALL 500
#define LARGE 16000
#include "guest.h"

        .file "isprime.S"

        .text
        .globl isPrime
        .type isPrime, @function
isPrime:
        mov %edi, %ecx                  /* a */
        mov $2, %esi                    /* i = 2 */
        cmp %ecx, %esi                  /* is i >= a? */
        jge prime                       /* then nothing divides it */
nexti:  mov %ecx, %eax
        cdq                             /* sign-extend a */
        idiv %esi                       /* a % i */
        test %edx, %edx                 /* is the rest zero? */
        jz notPrime
        inc %esi                        /* i++ */
        cmp %ecx, %esi
        jl nexti
prime:  mov $1, %eax
        ret
notPrime:
        xor %eax, %eax
        ret
        .size isPrime, . - isPrime

        .globl main
        .type main, @function
main:   push %ebx
        push %esi
        push %edi
        mov $49, %edi
        call isPrime
        push %eax
        push $of_49
        call report
        add $8, %esp

        xor %ebx, %ebx                  /* how many there are */
        mov $2, %edi
1:      cmp $SIZE, %edi
        jge 2f
        call isPrime
        add %eax, %ebx
        inc %edi
        jmp 1b

2:      push $below
        call say
        push $SIZE
        call say_number
        push %ebx
        push $are
        call report
        add $16, %esp
        xor %eax, %eax
        pop %edi
        pop %esi
        pop %ebx
        ret
        .size main, . - main

        .section .rodata
of_49:  .string "isPrime(49) = "
below:  .string "primes below "
are:    .string ": "
