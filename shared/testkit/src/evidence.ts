/** The histories that the running test has written to: the setup file prints them when it fails. */
export const touched = new Set<{ toString(): string }>();
