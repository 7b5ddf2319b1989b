"""Speed as ratios: each stage against reading and bare JSON decoding of the same bytes."""
