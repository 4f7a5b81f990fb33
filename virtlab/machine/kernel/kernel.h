/* What the parts of the kernel know of each other. */

/* Where things are in a process's 4 MB, which begin where the kernel's end. */
#define USER_BEGIN 0x400000 /* its program: one page, read only, the same frame for all */
#define USER_STACK 0x401000 /* one page of its own, and another frame in each process */
#define USER_HEAP 0x500000  /* pages that it gets when it touches them */
#define USER_HEAP_END 0x510000
#define USER_END 0x800000

/* Segment selectors: place in the GDT * 8; the low two bits are the ring that asks. */
#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER_CODE (0x18 | 3)
#define USER_DATA (0x20 | 3)
#define TASK 0x28

/* Vectors: where in the IDT a trap's handler is named. The processor keeps 0 to 31. */
#define PAGE_FAULT 14
#define TIMER 0x20
#define SYSTEM_CALL 0x80

#define PAGE 4096

#ifndef __ASSEMBLER__

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

/* What is on the kernel's stack in a handler, from the lowest address up. */
struct frame {
    u32 edi, esi, ebp, unused_esp, ebx, edx, ecx, eax; /* by pusha */
    u32 vector, error;                                 /* by the stub, or the processor */
    u32 eip, cs, eflags;                               /* by the processor */
    u32 esp, ss;                                       /* by it too, if the ring has changed */
};

static inline void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 inb(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

void say(const char *text);                   /* console.c */
void say_bytes(const char *text, u32 length);
void say_number(u32 value);
void say_hex(u32 value);
_Noreturn void power_off(u32 status);

void make_tables(void);                       /* tables.c */
void set_kernel_stack(u32 top);

void start_paging(void);                      /* paging.c */
u32 *make_directory(void);
void *give_page(u32 *directory, u32 address);
void use_directory(const u32 *directory);

void start_timer(void);                       /* timer.c */
void end_of_interrupt(void);

struct frame *trap(struct frame *frame);      /* traps.c: returns whose registers are taken back */

extern u32 switches;                          /* process.c */
void make_process(char name);
_Noreturn void run_processes(void);
struct frame *next_process(struct frame *frame);
struct frame *end_process(const char *why);
u32 *current_directory(void);
_Noreturn void finish(void);                  /* traps.c: when no process is left */

_Noreturn void resume(struct frame *frame);   /* entry.S */
extern const u32 entries[];                   /* the stubs of vectors 0 to 32 */
void system_call_entry(void);

extern const u8 program_frame[];              /* kernel.ld: where the loader put the program */
_Noreturn void program(char name);            /* program.c, at ring 3 */

#endif
