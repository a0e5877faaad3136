export { StoryError } from './error.ts';
export type * from './events.ts';
export { isStoryEvent, parseEvent } from './events.ts';
export { maskFigures } from './mask.ts';
export { renderPlain } from './render/index.ts';
export type { Servable, Story } from './story.ts';
export { type TellOptions, tell } from './tell.ts';
