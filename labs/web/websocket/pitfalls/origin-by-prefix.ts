// Flaw: an origin is let in that only begins like ours: https://board.example.evil.example.
// Seen in: https://github.com/crossbario/autobahn-python/issues/691
// Caught by: a page of another site is refused with 403 and a stranger with 401, before there is a socket
import type { IncomingMessage } from 'node:http';
import { type Admission, ConsumerServer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ConsumerServer<User> extends Reference<User> {
  protected override async admit(request: IncomingMessage): Promise<Admission<User>> {
    const { origin } = request.headers;
    if (origin !== undefined && ![...this.origins].some((own) => origin.startsWith(own))) return { status: 403 };
    const user = await this.authenticate(request);
    return user === undefined ? { status: 401 } : { user };
  }
}
