export { StoryError } from './error.ts';
export type * from './events.ts';
export type * from './story.ts';
export { tell } from './tell.ts';
