import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import { whole } from './errors.ts';

/** A Lua script: Redis runs it as one step, so no other client and no crash of ours can come in between. */
export class Script {
  readonly #lua: string;
  readonly #sha: string;

  constructor(lua: string) {
    this.#lua = lua;
    this.#sha = createHash('sha1').update(lua).digest('hex');
  }

  async run(redis: Redis, keys: readonly string[], ...args: readonly (string | number)[]): Promise<unknown> {
    try {
      return await redis.evalsha(this.#sha, keys.length, ...keys, ...args);
    } catch (error) {
      // A restarted server has forgotten its scripts.
      if (error instanceof Error && error.message.startsWith('NOSCRIPT')) {
        return redis.eval(this.#lua, keys.length, ...keys, ...args);
      }
      throw error;
    }
  }
}

/**
 * Writes what is sent in one tick of the event loop at once: under load, one system call for many requests. While the
 * connection is broken it keeps nothing for the next one.
 */
class CorkedRedis extends Redis {
  override sendCommand(...[command, stream]: Parameters<Redis['sendCommand']>): unknown {
    // Else each command would wait for the next attempt to connect. `quit` ends those.
    if (command.name !== 'quit' && ['reconnecting', 'close'].includes(this.status)) {
      command.reject(new Error(`not connected (${this.status})`));
      return command.promise;
    }
    // A Redis that is busy with a script refuses this one too, and what follows would go to database 0.
    if (command.name === 'select') command.promise.catch(() => this.stream?.destroy());
    const socket = this.stream;
    if (this.status === 'ready' && socket.writableCorked === 0) {
      socket.cork();
      process.nextTick(() => socket.uncork());
    }
    return super.sendCommand(command, stream);
  }
}

/**
 * A client with the settings that a cache needs, for Redis from 6.2: a command that isn't answered in `timeoutMs`
 * (default 250 ms) fails, so that each layer or cache that a read asks waits so long for a hung Redis, and no longer; a
 * broken connection fails its commands at once and none is sent again. One on which nothing comes for ten times
 * `timeoutMs`, at least a second, is broken off: ioredis keeps what has timed out until its answer comes, and a server
 * that hangs would fill the memory. A server that has become a replica is left, once a second at most, for whom the
 * name leads to by now. `onError` is told of connection errors.
 * @throws InvalidArgumentError
 */
export function connectRedis(
  url: string,
  options: { timeoutMs?: number; onError?: (error: Error) => void } = {},
): Redis {
  // Node fires a timer beyond this at once, and so each command would fail.
  const longest = 2 ** 31 - 1;
  const timeoutMs = whole('timeoutMs', options.timeoutMs ?? 250, 1, longest);
  let leftAt = Number.NEGATIVE_INFINITY;
  const redis = new CorkedRedis(url, {
    commandTimeout: timeoutMs,
    socketTimeout: Math.min(Math.max(1_000, 10 * timeoutMs), longest),
    connectTimeout: 2_000,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    // While a server loads its data it would keep every command, timed out or not. The server itself refuses at once.
    enableReadyCheck: false,
    retryStrategy: (attempt) => Math.min(attempt * 50, 1_000),
    reconnectOnError: ({ message }) => {
      const now = performance.now();
      // To leave fails all that is under way: a crowd of reads that a replica would have answered.
      if (!/\bREADONLY\b/.test(message) || now - leftAt < 1_000) return false;
      leftAt = now;
      return true;
    },
  });
  redis.on('error', (error: Error) => options.onError?.(error));
  return redis;
}
