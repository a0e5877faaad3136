import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { InvalidArgumentError } from './errors.ts';
import { LONGEST_TIMER_MS, within } from './options.ts';

/** One resource needs no script: this is the lock of a single node, `SET key token NX PX ttl`. */
const ACQUIRE_ALL = `
for _, key in ipairs(KEYS) do
  if redis.call('EXISTS', key) == 1 then return 0 end
end
for _, key in ipairs(KEYS) do redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
return 1`;

// The comparison and the deletion are one step on the server, so no other client can come between them.
const RELEASE = `
local freed = 0
for _, key in ipairs(KEYS) do
  local token = string.match(redis.call('GET', key) or '', '[^#]*')
  if token == ARGV[1] then
    freed = freed + redis.call('DEL', key)
  end
end
return freed`;

// Numbered, "token#3": on a connection that broke, an extension can arrive after the one that was sent on the next.
// The same number again is no news: a client that sends again what its connection left unanswered is told yes.
// PEXPIRE first: a node that is full refuses a script's first SET, and none that follows a write.
const EXTEND = `
for _, key in ipairs(KEYS) do
  local token, last = string.match(redis.call('GET', key) or '', '([^#]*)#?(.*)')
  if token ~= ARGV[1] or (tonumber(last) or 0) > tonumber(ARGV[3]) then return 0 end
end
for _, key in ipairs(KEYS) do
  redis.call('PEXPIRE', key, ARGV[2])
  redis.call('SET', key, ARGV[1] .. '#' .. ARGV[3], 'PX', ARGV[2])
end
return 1`;

// Always EVAL, never EVALSHA: "NOSCRIPT" would need a second request, which a release to a silent node never gets to send,
// and which a release can overtake on its way to a slow one.

/** There is no connection, or the node is still to answer an earlier request: another one would only wait. */
export class NotAskedError extends Error {}

/** Nothing was sent, or the node loads its data and does nothing: so nothing has to be undone. */
export const isUndone = (error?: Error): boolean =>
  error instanceof NotAskedError || error?.message.startsWith('LOADING') === true;

export const isBroken = (node: Redis): boolean => ['reconnecting', 'close', 'end'].includes(node.status);

/** Nodes that have been connected, or could not be. */
const tried = new WeakSet<Redis>();

/** A request would wait for a connection that broke, and pile up with others: only the first one is waited for. */
export function isAway(node: Redis): boolean {
  const ready = node.status === 'ready';
  if (ready || isBroken(node)) tried.add(node);
  return !ready && tried.has(node);
}

function assertConnected(node: Redis): void {
  if (isAway(node)) throw new NotAskedError(`not connected (${node.status})`);
}

/** A client with `stringNumbers` gives the number as text. */
async function count(
  node: Redis,
  script: string,
  keys: readonly string[],
  ...args: (string | number)[]
): Promise<number> {
  return Number(await node.eval(script, keys.length, ...keys, ...args));
}

/** Takes all keys for `token`, or none. */
export async function lockNode(node: Redis, keys: readonly string[], token: string, ttlMs: number): Promise<boolean> {
  assertConnected(node);
  const [key = '', ...more] = keys;
  const taken =
    more.length === 0
      ? (await node.set(key, token, 'PX', ttlMs, 'NX')) === 'OK'
      : (await count(node, ACQUIRE_ALL, keys, token, ttlMs)) === 1;
  // A client of the caller's own may have sent again what the node had done already: the key that is there is ours.
  return taken || (node.options.autoResendUnfulfilledCommands !== false && (await node.get(key)) === token);
}

/** Deletes those keys that still carry `token`; true when all did. */
export async function unlockNode(node: Redis, keys: readonly string[], token: string): Promise<boolean> {
  // Another client may keep the request for the lock, and send it when the node is there: the release goes behind it.
  if (node.options.maxRetriesPerRequest === 0) assertConnected(node);
  return (await count(node, RELEASE, keys, token)) === keys.length;
}

/** Sets the time to live of all keys anew, if all still carry `token` and no extension with a higher number. */
export async function extendNode(
  node: Redis,
  keys: readonly string[],
  token: string,
  ttlMs: number,
  number: number,
): Promise<boolean> {
  return (await count(node, EXTEND, keys, token, ttlMs, number)) === 1;
}

/** Under load, what is sent in one tick of the event loop is written at once: one system call for many requests. */
class LockNode extends Redis {
  override sendCommand(...[command, stream]: Parameters<Redis['sendCommand']>): unknown {
    const socket = this.stream;
    // A node that is busy with a script refuses this one too, and what follows would lock in database 0.
    // NOAUTH is none of that: where HELLO, which brings the password, isn't known, ioredis sends both once more.
    if (command.name === 'select')
      command.promise.catch(({ message }: Error) => {
        if (!(this.options.password && message.startsWith('NOAUTH'))) this.stream?.destroy();
      });
    // Nothing on its way: a request alone gains nothing from waiting for company.
    const busy = this.commandQueue.length > 0;
    if (busy && this.status === 'ready' && socket.writableCorked === 0) {
      socket.cork();
      process.nextTick(() => socket.uncork());
    }
    return super.sendCommand(command, stream);
  }
}

/** ioredis takes a URL without a host for localhost, connects to "REDISS:" without TLS, and selects the database NaN. */
function isNodeUrl(url: string): boolean {
  if (!/^rediss?:\/\//.test(url) || !URL.parse(url)?.hostname) return false;
  try {
    return Number.isInteger(new Redis(url, { lazyConnect: true }).options.db);
  } catch {
    return false;
  }
}

/**
 * Connects to the lock nodes with the settings that a lock needs.
 *
 * A broken connection fails its commands at once, and none is sent again: a lock request that arrives late would take
 * the lock for nobody. A socket silent for `silentMs` (default 2,000 ms) with requests pending is given up, so that a
 * hung node piles up the requests of that time at most. Connection errors appear as votes; `onError` is told of them too,
 * with the URL of the node as it was given, its password included.
 *
 * @throws InvalidArgumentError on what is no `redis:` or `rediss:` URL, one whose path is no database or whose password
 *   isn't percent-encoded, or a `silentMs` that no timer can wait.
 */
export function connectNodes(
  urls: readonly string[],
  options: { silentMs?: number; onError?: (error: Error, url: string) => void } = {},
): Redis[] {
  const silentMs = within('silentMs', options.silentMs ?? 2_000, 1, LONGEST_TIMER_MS);
  if (!Array.isArray(urls)) throw new InvalidArgumentError(`Give a list of URLs, not a value of type ${typeof urls}.`);
  // Before the first connection, which nobody could close.
  const bad = urls.findIndex((url) => !isNodeUrl(url));
  if (bad >= 0)
    throw new InvalidArgumentError(
      `A node has a URL like redis://:password@host:6379/0, percent-encoded; node ${bad} has ` +
        `${inspect(urls[bad]).replace(/\/\/.*@/s, '//…@')}.`,
    );
  return urls.map((url) => {
    const node = new LockNode(url, {
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      socketTimeout: silentMs,
      connectTimeout: silentMs,
      // Of a node that loads its data ioredis would keep every command until it has. The node itself refuses at once.
      enableReadyCheck: false,
      retryStrategy: (attempt) => Math.min(attempt * 50, 1_000),
      // Behind a name, a failover can leave the connection at what is now a replica.
      reconnectOnError: (error) => /\bREADONLY\b/.test(error.message),
    });
    node.on('error', (error: Error) => options.onError?.(error, url));
    // Under load nobody may look at it in the 50 ms before it connects anew.
    node.once('close', () => tried.add(node));
    return node;
  });
}
