"""Published experiments on memory, run again on the model (S23-S28).

    balloon_cost   W02 figure 2: what a balloon costs against a smaller guest
    idle_tax       W02 figure 7: shares alone, then the idle memory tax
    overcommit     W02 figure 8: five VMs of 1472 MB on a host of 1 GB
    sharing_pays   the same VMs with sharing and without
    reallocation   the talk's S24-S26: VM4 starts, memory lacks, later it is given back
    contest        balloon against host swap against both, on one workload

W02 is C. Waldspurger, "Memory Resource Management in VMware ESX Server", OSDI 2002. Numbers marked
"dig." are our readings of its drawings, good to about 1 %.
"""
