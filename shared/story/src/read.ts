/** For programs that read stories: parse the lines of `--json`, render them, compare two runs. */
export { StoryError } from './error.ts';
export type * from './events.ts';
export { isChart, isStoryEvent, parseEvent } from './events.ts';
export { maskFigures } from './mask.ts';
export { renderPlain } from './render/index.ts';
export { renderSvg } from './svg/index.ts';
