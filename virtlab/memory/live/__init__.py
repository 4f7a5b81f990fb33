"""Pages of real processes: reading them, starting copies, counting what sharing would save."""
