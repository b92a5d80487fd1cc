// The composition root: builds every service, hands each what it needs, starts them in order and stops them in reverse.
// The only file that wires.
