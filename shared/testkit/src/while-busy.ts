import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { until } from './until.ts';

/**
 * Redis' own default, in milliseconds: how long a script may run before others are answered BUSY. Redis 6 knows the setting
 * as `lua-time-limit` alone, and Redis 7 by that name too.
 */
const DEFAULT_THRESHOLD = 5_000;

/** Runs `work` while a Redis of ours is in a script without an end, and answers BUSY to whoever asks. */
export async function whileBusy<T>(redis: string, work: () => Promise<T>): Promise<T> {
  const { hostname, port } = new URL(redis);
  const [busy, other] = [connect(Number(port), hostname), connect(Number(port), hostname)];
  try {
    await asked(other, 'CONFIG SET lua-time-limit 1');
    const ended = asked(busy, 'EVAL "while true do end" 0');
    try {
      await until(async () => (await asked(other, 'PING')).startsWith('-BUSY'));
      return await work();
    } finally {
      await asked(other, 'SCRIPT KILL');
      await ended;
      await asked(other, `CONFIG SET lua-time-limit ${DEFAULT_THRESHOLD}`);
    }
  } finally {
    busy.destroy();
    other.destroy();
  }
}

/** An inline command, and its answer of one line: a client library would have settings of its own. */
async function asked(socket: Socket, command: string): Promise<string> {
  const answered = once(socket, 'data');
  socket.write(`${command}\r\n`);
  const [data] = await answered;
  return String(data);
}
