"""A walk through a guest: any step of its run, both ways, and what was seen there (S17).

A debugger shows where a program stands. Here one walks through a kernel that changes rings, and
wants to know at each step: which ring, what trapped and why, through which gate, on which stack.

    checkpoint   a whole computer, kept, and brought back
    ride         a run from its first step to its last, and the way to any of them
    moment       what there is to see after a step: ring, code, registers, gates, stack
    lines        the code around EIP, with its names
    entries      which entries of the processor's tables a step went through
    tell         one sentence that says what a step was
    programs     the small kernel, and short programs at any ring

Time is the number of instructions, so a run does the same each time: what cannot be stepped back
any more is brought back from a checkpoint, and run up to the step that is asked for.
"""
