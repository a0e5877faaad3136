import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis, RedisOptions } from 'ioredis';
import type { Entry, OrderBook } from './book.ts';
import { checkId, checkWhole, isPlainId, StoreUnavailableError } from './errors.ts';
import type { Gate } from './gate.ts';

const GROUP = 'clerks';
/** Milliseconds without an answer that is due, after which the connection counts as lost. */
const SILENCE_MS = 4_000;

export interface WorkerOptions {
  readonly gate: Gate;
  readonly book: OrderBook;
  readonly sku: string;
  /** Hears of what goes wrong and is tried again; must not throw. */
  readonly onError: (error: unknown) => void;
  /** Milliseconds after which an entry that a worker has taken and not finished is another's. Default 5,000. */
  readonly claimMs?: number;
}

/** Writes the orders of the stream into the book: any number of workers, each of which may die at any point. */
export class OrderWorker implements AsyncDisposable {
  readonly #gate: Gate;
  readonly #book: OrderBook;
  readonly #sku: string;
  readonly #onError: (error: unknown) => void;
  readonly #claimMs: number;
  readonly #blockMs: number;
  readonly #name = randomUUID();
  /** Of its own: it waits for entries, and whatever is sent behind a wait waits, too. */
  readonly #reader: Redis;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;

  /** @throws InvalidArgumentError */
  constructor({ gate, book, sku, onError, claimMs = 5_000 }: WorkerOptions) {
    checkId('sku', sku);
    checkWhole('claimMs', claimMs, 1);
    this.#gate = gate;
    this.#book = book;
    this.#sku = sku;
    this.#onError = onError;
    this.#claimMs = claimMs;
    // Short waits: in between it looks after what others have left.
    this.#blockMs = Math.min(1_000, claimMs);
    const waiting: Partial<RedisOptions> = {
      // The limit of a caller who waits for an answer would cut off whoever waits for an entry, and lose what comes then.
      commandTimeout: undefined,
      socketTimeout: this.#blockMs + SILENCE_MS,
      // After a failover this server may be a replica, and the name lead to another.
      reconnectOnError: (error) => error.message.startsWith('READONLY'),
    };
    this.#reader = gate.redis.duplicate(waiting);
    this.#reader.on('error', onError);
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        if (!(await this.#handleAll(await this.#next()))) await sleep(200, undefined, { signal });
      } catch (error) {
        if (signal.aborted) return;
        this.#onError(error);
        await sleep(200, undefined, { signal }).catch(() => {});
      }
    }
  }

  /** @returns whether all are done; the others stay with this worker, and come again */
  async #handleAll(entries: readonly Read[]): Promise<boolean> {
    let done = true;
    for (const [id, fields] of entries) {
      try {
        await this.handle(id, fields);
      } catch (error) {
        done = false;
        this.#onError(error);
        // Whatever is wrong with one entry stops no other, but without a store none can be done.
        if (error instanceof StoreUnavailableError) break;
      }
    }
    return done;
  }

  async #next(): Promise<readonly Read[]> {
    try {
      return await this.#read();
    } catch (error) {
      if (!isMissingGroup(error)) throw error;
      await this.#makeGroup();
      return [];
    }
  }

  /** What a dead worker has left, else what is new. */
  async #read(): Promise<readonly Read[]> {
    const { orders } = this.#gate.keys(this.#sku);
    const left = await this.#reader.xautoclaim(orders, GROUP, this.#name, this.#claimMs, '0', 'COUNT', 10);
    const claimed = entriesOf(Array.isArray(left) ? left[1] : undefined);
    if (claimed.length > 0) return claimed;
    const said: unknown = await this.#reader.xreadgroup(
      'GROUP',
      GROUP,
      this.#name,
      'COUNT',
      10,
      'BLOCK',
      this.#blockMs,
      'STREAMS',
      orders,
      '>',
    );
    const [stream] = Array.isArray(said) ? said : [];
    return entriesOf(Array.isArray(stream) ? stream[1] : undefined);
  }

  protected async handle(id: string, fields: readonly string[]): Promise<void> {
    if (this.#stop.signal.aborted) return;
    const entry = this.parse(fields);
    if (entry === undefined)
      this.#onError(new Error(`no order can be made of ${JSON.stringify(fields)}: it is left out`));
    else await this.place(entry);
    // Only now: whoever dies before this leaves the entry to another, whose `place` finds the order there.
    await this.done(id);
  }

  protected async done(id: string): Promise<void> {
    const { orders } = this.#gate.keys(this.#sku);
    await this.#gate.redis.multi().xack(orders, GROUP, id).xdel(orders, id).exec();
  }

  protected async place(entry: Entry): Promise<void> {
    const { sku, user, orderId } = entry;
    const placed = await this.#book.place(entry);
    if (placed === 'stale') await this.#gate.requeue(sku, user, orderId);
    if (placed === 'cancelled') await this.#gate.giveBack(sku, user, orderId);
    if (placed === 'duplicate') await this.#gate.drop(sku, user, orderId, 1);
    if (placed === 'sold_out') await this.#gate.drop(sku, user, orderId, 0);
  }

  protected parse(fields: readonly string[]): Entry | undefined {
    const [, user = '', , orderId = '', , generation = ''] = fields;
    // Also what Postgres could not keep: it would come again for ever.
    const complete = isPlainId(user) && isPlainId(orderId) && /^\d{1,15}$/.test(generation);
    return complete ? { sku: this.#sku, user, orderId, generation: Number(generation) } : undefined;
  }

  async #makeGroup(): Promise<void> {
    const { orders } = this.#gate.keys(this.#sku);
    try {
      await this.#reader.xgroup('CREATE', orders, GROUP, '0', 'MKSTREAM');
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('BUSYGROUP')) throw error;
    }
  }

  /** Ends after the entry that is under way. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    this.#reader.disconnect();
    await this.#running;
  }
}

type Read = readonly [id: string, fields: readonly string[]];

function entriesOf(value: unknown): Read[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((entry: unknown): Read[] => {
    if (!Array.isArray(entry) || !Array.isArray(entry[1])) return [];
    return [[String(entry[0]), entry[1].map(String)]];
  });
}

const isMissingGroup = (error: unknown): boolean => error instanceof Error && error.message.startsWith('NOGROUP');
