// Flaw: the cookie is checked and the Origin is not: a page of any site connects as whoever visits it.
// Seen in: https://github.com/danbyte-net/danbyte/issues/228
// Caught by: a page of another site is refused with 403 and a stranger with 401, before there is a socket
import type { IncomingMessage } from 'node:http';
import { type Admission, ConsumerServer as Reference } from '../src/index.ts';

export * from '../src/index.ts';

export class ConsumerServer<User> extends Reference<User> {
  protected override async admit(request: IncomingMessage): Promise<Admission<User>> {
    const user = await this.authenticate(request);
    return user === undefined ? { status: 401 } : { user };
  }
}
