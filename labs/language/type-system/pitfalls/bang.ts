// Flaw: an exclamation mark says that the text is there; null is let in and ends the program.
// Seen in: https://github.com/frzyc/genshin-optimizer/issues/1623
// Caught by: what may be missing is looked at first
import { fixes as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const fixes: typeof reference = { ...reference, 'length-of-null': '  return text!.length;' };
