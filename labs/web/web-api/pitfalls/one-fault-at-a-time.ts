// Flaw: the first place that does not fit ends the look: who fills in a form learns of one fault per attempt.
// Seen in: https://github.com/fastify/fastify/issues/1397
// Caught by: what does not fit is refused with every fault of all places, and the handler sees none of it
import { Api as Reference, ValidationError } from '../src/index.ts';
import { issue, places, type Raw } from '../src/input.ts';
import type { Route } from '../src/route.ts';

export * from '../src/index.ts';

export class Api extends Reference {
  protected override read(route: Route, raw: Raw): Raw {
    for (const place of places) {
      const fault = route[place]?.safeParse(raw[place]).error?.issues[0];
      if (fault) throw new ValidationError([issue(place, fault.path, fault.message)]);
    }
    return super.read(route, raw);
  }
}
