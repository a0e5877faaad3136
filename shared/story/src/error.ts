/** The story itself is told wrongly: the message says what, with which value, and what to do. */
export class StoryError extends Error {
  override readonly name = 'StoryError';
}
