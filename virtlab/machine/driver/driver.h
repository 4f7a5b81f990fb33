/* A kernel that does one thing: it reads and writes a disk for a program at ring 3.

   It uses no instruction that gives a deprivileged kernel away (pushf, popf, sgdt, smsw ...), so that
   a monitor that traps and emulates can run it as it is. */

#define KERNEL_CODE 0x08
#define KERNEL_DATA 0x10
#define USER_CODE (0x18 | 3)
#define USER_DATA (0x20 | 3)
#define TASK 0x28

/* Vectors: the interrupt controllers' 16 lines come after the processor's own 32. */
#define LINE_0 0x20
#define OWN_LINE 11 /* where our own disk interrupts */
#define ATA_LINE 14 /* where the first ATA channel does */
#define SYSTEM_CALL 0x80

#define SECTOR 512

#ifndef __ASSEMBLER__

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;

/* What the program is asked to do; whoever starts the guest may change it (symbol `task`). */
struct task {
    u32 lba, sectors; /* of the first request; each further one goes on where the last ended */
    u32 repeats;      /* how many requests */
    u32 write;        /* write them first, then read them */
    u32 own;          /* by our own disk's driver; else by ATA's */
};
extern struct task task;

enum { READ_CALL = 1, WRITE_CALL = 2, SAY_CALL = 3, EXIT_CALL = 4 };

/* On the kernel's stack in a system call, from the lowest address up: what pusha left. */
struct frame {
    u32 edi, esi, ebp, unused_esp, ebx, edx, ecx, eax;
};

static inline void outb(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline void outl(u16 port, u32 value)
{
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline u8 inb(u16 port)
{
    u8 value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

static inline u32 inl(u16 port)
{
    u32 value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

/* One request, in service or over. */
struct request {
    u32 lba, sectors;
    u8 *at; /* the program's buffer; moves on */
    u32 write;
    volatile u32 done, failed;
};

void start_ata(struct request *request);  /* ata.c */
void ata_interrupt(void);
void start_own(struct request *request);  /* own.c */
void own_interrupt(void);

void say_bytes(const char *text, u32 length); /* ../kernel/console.c */
_Noreturn void power_off(u32 status);

_Noreturn void to_ring_3(void);           /* entry.S */
void call_entry(void);
void ata_entry(void);
void own_entry(void);
void fault_entry(void);

_Noreturn void program(void);             /* program.c, at ring 3 */

#endif
