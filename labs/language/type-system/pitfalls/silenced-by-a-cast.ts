// Flaw: the wrong argument is cast to what is asked for: it compiles, and greets 42 as a text all the same.
// Seen in: https://github.com/msupply-foundation/open-msupply/pull/1659
// Caught by: a value of another type is converted before it is handed on
import { fixes as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const fixes: typeof reference = { ...reference, 'greet-a-number': 'greet(42 as never);' };
