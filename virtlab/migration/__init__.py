"""Moving a running machine to another host: the talk's seven steps, and what came after (S39)."""
