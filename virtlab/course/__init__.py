"""Questions that check themselves, the talk's map, and the doctor."""
