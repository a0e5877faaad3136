import type { Redis } from 'ioredis';
import type { Entry } from './desk.ts';
import { checkSource, checkWhole, InvalidArgumentError, StoreUnavailableError } from './errors.ts';

/** KEYS stream; ARGV limit, source, first, text. What is full says so: XADD … MAXLEN would make room by what nobody has counted. */
const TAKE = `
if redis.call('XLEN', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('XADD', KEYS[1], '*', 'source', ARGV[2], 'first', ARGV[3], 'text', ARGV[4])
return 1`;

/** The highest number of a call's first line. */
const MOST_FIRST = 2 ** 52;
/** Lines in one call. */
const MOST_LINES = 1_000;
/** Characters of a line: what is longer is cut, and is no line any more. */
const MOST_CHARACTERS = 5_000;
/** Characters in one call: with `limit` it bounds what Redis has to hold. */
const MOST_IN_ALL = 2 ** 20;

export interface IntakeOptions {
  /**
   * Give it a `commandTimeout`, or a Redis that hangs hangs its callers, and a `socketTimeout`: ioredis keeps what has timed out,
   * lines and all, until its answer comes. `enableReadyCheck: false`, or it keeps them too while Redis loads its data.
   * Keep it in database 0 then: where a Redis that is busy with a script refuses the SELECT of a new connection, ioredis
   * goes on there.
   */
  readonly redis: Redis;
  /** The stream's name. Default `log-analytics:lines`. */
  readonly key?: string;
  /** How many calls' lines may wait to be counted. Default 500. */
  readonly limit?: number;
}

/** Lines that wait to be counted, in Redis. */
export class Intake {
  protected readonly redis: Redis;
  protected readonly key: string;
  protected readonly limit: number;

  /** @throws InvalidArgumentError */
  constructor({ redis, key = 'log-analytics:lines', limit = 500 }: IntakeOptions) {
    checkWhole('limit', limit, 1, 1_000_000);
    if (typeof key !== 'string' || key === '') throw new InvalidArgumentError('key', key, 'a name');
    this.redis = redis;
    this.key = key;
    this.limit = limit;
  }

  /**
   * Takes lines of one source, which sends its next ones when these are taken, and these again when it had no answer: they are
   * counted once all the same.
   * @param first the number of the first of them; a source counts its lines from 0, for as long as it has its name
   * @returns 'busy' when too many wait: nothing was taken, send the same again later
   * @throws InvalidArgumentError, StoreUnavailableError
   */
  async take(source: string, first: number, lines: readonly string[]): Promise<'taken' | 'busy'> {
    checkSource(source);
    checkWhole('first', first, 0, MOST_FIRST);
    if (!Array.isArray(lines) || lines.length < 1 || lines.length > MOST_LINES) {
      throw new InvalidArgumentError('lines', `${lines?.length} lines`, `1 to ${MOST_LINES} lines`);
    }
    for (const [n, line] of lines.entries()) {
      const whole = typeof line === 'string' && !/[\n\r]/.test(line);
      if (!whole) throw new InvalidArgumentError(`lines[${n}]`, line, 'a text without a line break');
    }
    const text = lines.map((line) => line.slice(0, MOST_CHARACTERS)).join('\n');
    if (text.length > MOST_IN_ALL) {
      throw new InvalidArgumentError('lines', `${text.length} characters`, `at most ${MOST_IN_ALL}, in several calls`);
    }
    const taken = await this.ask(() => this.add(source, first, text));
    return taken ? 'taken' : 'busy';
  }

  /** The oldest that wait, in the order in which they came. An entry that nobody can read is undefined. @throws StoreUnavailableError */
  async waiting(count: number): Promise<readonly { readonly id: string; readonly entry: Entry | undefined }[]> {
    const found = await this.ask(() => this.redis.xrange(this.key, '-', '+', 'COUNT', count));
    return found.map(([id, fields]) => ({ id, entry: entryOf(id, fields) }));
  }

  /** They are counted, or past all counting. @throws StoreUnavailableError */
  async done(ids: readonly string[]): Promise<void> {
    // By name, and not all up to the last: a Redis that lost its data may have given lower ids since.
    if (ids.length > 0) await this.ask(() => this.redis.xdel(this.key, ...ids));
  }

  /** How many calls' lines wait. @throws StoreUnavailableError */
  async depth(): Promise<number> {
    return Number(await this.ask(() => this.redis.xlen(this.key)));
  }

  /** Milliseconds since the epoch, by the clock that says when an entry arrived. @throws StoreUnavailableError */
  async now(): Promise<number> {
    const [seconds = 0, micros = 0] = await this.ask(() => this.redis.time());
    return Number(seconds) * 1_000 + Math.floor(Number(micros) / 1_000);
  }

  /** @returns whether there was room */
  protected async add(source: string, first: number, text: string): Promise<boolean> {
    // EVAL and not EVALSHA: a Redis that has lost everything has lost its scripts, too.
    return Number(await this.redis.eval(TAKE, 1, this.key, this.limit, source, first, text)) === 1;
  }

  protected async ask<T>(question: () => Promise<T>): Promise<T> {
    try {
      return await question();
    } catch (error) {
      throw new StoreUnavailableError('Redis', error);
    }
  }
}

function entryOf(id: string, fields: readonly string[]): Entry | undefined {
  const [, source = '', , first = '', , text] = fields;
  const arrivedAt = Number(id.split('-', 1)[0]);
  try {
    checkSource(source);
  } catch {
    return undefined;
  }
  if (text === undefined || !/^\d{1,16}$/.test(first) || Number(first) > MOST_FIRST) return undefined;
  return { source, first: Number(first), lines: text.split('\n'), arrivedAt };
}
