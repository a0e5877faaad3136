// Flaw: TODO: the one mistake in this variant, and what it breaks.
// Seen in: TODO: the issue or post where it happened
// Caught by: TODO: the first law, as a sentence that is true of every correct implementation
export function webApi(): string {
  return 'TODO: the reference, with the flaw';
}
