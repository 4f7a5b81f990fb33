"""The host that gives VMs their memory and takes it back: machine, VMs, controllers, simulation.

Read in this order: `machine` (frames, counted), `backing` (what stands behind a VM's pages), `vm`,
`host` (a second of all of them), `controllers` (who decides), `scenario` and `simulation`.
"""
