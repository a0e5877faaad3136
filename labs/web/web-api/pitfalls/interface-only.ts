// Flaw: the body is cast to its type. A type is gone when the program runs: whatever came goes in.
// Seen in: https://github.com/jonwiggins/optio/issues/307
// Caught by: what does not fit is refused with every fault of all places, and the handler sees none of it
import { Api as Reference } from '../src/index.ts';
import type { Raw } from '../src/input.ts';
import type { Route } from '../src/route.ts';

export * from '../src/index.ts';

export class Api extends Reference {
  protected override read(_: Route, raw: Raw): Raw {
    return raw;
  }
}
