"""The home lab: our own guest migrated by a real QEMU, measured beside what the model predicts."""
