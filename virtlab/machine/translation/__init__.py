"""Binary translation: guest code made into code of the host, kept, and run again (S18, S6-S7).

A monitor cannot let a guest's kernel run as it is: some instructions would do something else than
the kernel means, and not even trap (`virtlab.machine.rings`). What ESX did was to translate: take
the next piece of the kernel's code, replace what is sensitive by calls, leave the rest as it is,
and keep the result. Here the host is not an i386 but WebAssembly, so every instruction changes;
what is to be seen is the same.

In the order in which code goes through it:

    regions    which code is taken together, and the three classes: IDENT, control, callout
    lifting    its p-code in single assignment form, as nodes of a graph
    liveness   flags that nobody reads are not computed; recipes, in case somebody looks after all
    control    the graph as loops and blocks
    wasm       code: locals for registers, a software TLB for memory, exact counts of instructions
               (`wasm_node`: a node's values; `wasm_values`: each operation; `wasm_edges`: how it
               is entered and left; `wasm_flags`: flags that are made on the way out; `wasm_code`:
               bytes)
    wasm_host  which code is where, and what leads to it; `wasm_store`: memory, table and driver, in
               wasmtime; `wasm_calls`: from Python into it, and back
    python     the same as Python to be read (`python_node`, `python_plan`: statements of a node;
               `python_values`, `python_conditions`: expressions; `python_control`,
               `python_shape`: `while` and `if`)
    python_host
               dictionaries and a loop (`python_memory`: pages); needs nothing else
    llvm       the same for LLVM (`llvm_loops`: the part of a region that is worth it; `llvm_node`,
               `llvm_memory`, `llvm_values`: its values, RAM, each operation; `llvm_ahead`,
               `llvm_sums`: one check for many accesses, and which those are)
    llvm_host  finds hot code and has it compiled in another thread (`llvm_region`: what is known of
               a unit; `llvm_visits`: when its code is entered; `llvm_code`: llvmlite;
               `llvm_driver`: what calls code); others go to `wasm_host`
    links      which exit leads straight to which unit
    heat       which code is worth it
    cache      what was translated, by address and page (`policies`: what has to go)
    tlb        fills the tables that translated code looks pages up in
    translator the loop that decides: look up, translate, or let the interpreter do a step
    deprivilege  what touches the machine, done in the cache where only flags are touched
    fragments  what is translated as it is reached, and what never: a published example
    modes      when code may run directly, and how often a guest's mode switches
    stats      what was done in a run: counters, classes, modes, time
    passes     what of all this can be switched off, to see what it is worth
    tiers      what a tier has to offer to it
    layout     one buffer for registers, tables and RAM
    listing    code that does not run beside its translation (`listing_code`, `listing_rows`,
               `listing_text`; `wasm_read`, `wasm_text`, `wasm_short` read WebAssembly back)

The interpreter is the specification: translated code gives the same output, registers, memory and
number of instructions, and interrupts come after the same instruction.

Source: Adams and Agesen (ASPLOS 2006); Bugnion, Nieh and Tsafrir, "Hardware and Software Support
for Virtualization" (2017), chapter 3.
"""
