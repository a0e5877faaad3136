/** The story itself is told wrongly: the message says what, with which value, and what to do. */
export class StoryError extends Error {
  override readonly name = 'StoryError';
}

/** Thrown by the narrator once the story was stopped, in order to unwind the body. */
export class StoryStopped extends Error {
  override readonly name = 'StoryStopped';
  constructor() {
    super('the story was stopped');
  }
}
