"""virtlab: virtualization taught by letting you run it.

Every slide of a 2004 talk on VMware ESX Server becomes something you can run, change and check:
a small readable model of the mechanism, held against a real system, shown in a notebook.

The models live in topic packages (`virtlab.resources`, `virtlab.memory`); `virtlab.plots` draws
their results, `virtlab.widgets` puts sliders around them, `virtlab.course` asks the questions.
Importing `virtlab` alone loads none of these.

Examples
--------
>>> from virtlab.resources import allocate
>>> allocate(160, shares=[1000, 2000, 1000]).allocation.tolist()
[40.0, 80.0, 40.0]
"""

__version__ = "0.1.0"
