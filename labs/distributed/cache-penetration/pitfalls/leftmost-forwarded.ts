// Flaw: the first address of X-Forwarded-For is believed, which the client writes: a new one for each request, or a victim's.
// Seen in: https://github.com/migadu/alps/pull/18
// Caught by: only our own proxies are believed about where a request came from
import { clientAddress as reference } from '../src/index.ts';

export * from '../src/index.ts';

export const clientAddress: typeof reference = (remote, forwardedFor, trusted) =>
  reference(remote, undefined, trusted) === remote && trusted?.length
    ? (forwardedFor?.split(',')[0]?.trim() ?? remote)
    : remote;
