// Flaw: a login keeps the session id that the browser came with: whoever planted it is logged in too (session fixation).
// Seen in: https://github.com/sdelements/lets-chat/issues/159
// Caught by: a login gives a new session id, and a logout ends the session with the next request
import { Sessions as Reference, readCookie, setCookie } from '../src/index.ts';
import { hash, query } from '../src/store.ts';

export * from '../src/index.ts';

export class Sessions extends Reference {
  override async start(sub: string, cookie: string | undefined): Promise<string> {
    const id = readCookie(cookie, '__Host-session');
    if (id === undefined) return super.start(sub, cookie);
    const { pool, absoluteMs } = this.options;
    await query(pool, 'UPDATE auth_sessions SET sub = $2 WHERE hash = $1', [hash(id), sub]);
    return setCookie('__Host-session', id, absoluteMs);
  }
}
