// Flaw: nobody asks what write() returned: the whole list waits in memory for a reader that reads nothing.
// Seen in: https://github.com/remix-run/react-router/issues/15049
// Caught by: a slow reader holds the source back and misses nothing; one that goes ends it
import type { ServerResponse } from 'node:http';
import type { Call } from '../src/call.ts';
import { Api as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class Api extends Reference {
  protected override async pump(call: Call, lines: AsyncIterable<string>, out: ServerResponse): Promise<void> {
    for await (const line of lines) {
      call.signal.throwIfAborted();
      out.write(line);
    }
  }
}
