import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import {
  type ConnectionOptions,
  defaultRepeatStrategy,
  FlowProducer,
  type JobNode,
  type JobsOptions,
  type KeepJobs,
  Queue,
  QueueEvents,
  type QueueEventsListener,
  QueueEventsProducer,
  type RepeatOptions,
} from 'bullmq';
import type { Redis } from 'ioredis';
import { asError, EvictionPolicyError, InvalidArgumentError, QueueClosedError } from './errors.ts';
import {
  AsyncResult,
  type BullJob,
  type BullQueue,
  Events,
  GroupResult,
  ResultFeed,
  type TaskState,
} from './result.ts';
import {
  type ChainResult,
  checkJson,
  type Envelope,
  integerFrom,
  type Json,
  type Links,
  type NameOf,
  type Parts,
  type PayloadOf,
  type ResultOf,
  type ResultsOf,
  type SendOptions,
  type Signature,
  type Taking,
  type Tasks,
} from './tasks.ts';
import { closeConnected, TaskWorker, type TaskWorkerOptions } from './worker.ts';

export type Connection = Redis | { readonly url: string };

export interface TaskQueueOptions {
  /**
   * A server: connections that a failover has left with a replica are made anew, and what was refused there throws. Or a
   * client to be shared: workers, and who waits for results, want its `maxRetriesPerRequest` null, and a failover its
   * `reconnectOnError`.
   */
  readonly connection: Connection;
  /** The queue's name. Producers and workers with one name share it. Default `tasks`. */
  readonly name?: string;
  /** What the keys in Redis begin with. Default `bull`. */
  readonly prefix?: string;
  /**
   * How long results and failures are kept, `age` in seconds: as long as somebody may ask for them, or send the same id
   * again. Whole numbers from 0 on. Default: an hour, and 10 000 of them at most.
   */
  readonly keepResults?: KeepJobs;
}

export type Schedule = { readonly everyMs: number } | { readonly cron: string; readonly tz: string };

/** A job with those that run before it. */
export interface Flow {
  readonly name: string;
  readonly queueName: string;
  readonly data: Envelope;
  readonly opts: JobsOptions & { readonly jobId: string };
  readonly children?: Flow[];
}

interface Messages extends QueueEventsListener {
  /** `sent` is the job's timestamp: an id can be sent again. */
  revoke: (args: { jobId: string; sent: string }) => void;
}

/** 1 is the highest of BullMQ, but jobs without any run before it: so every task has one. */
const PRIORITY = { urgent: 1, normal: 10, background: 100 };

/** As BullMQ keeps them elsewhere; a message of its producer would leave but a thousand for those who have yet to read. */
const EVENTS_KEPT = 10_000;
const OVER = new Set<TaskState>(['completed', 'failed', 'unknown']);
const TRIES_TO_TAKE_BACK = 10;
/** What is being sent to a Redis that is away holds up nobody who closes, for longer than this. */
const SENDING_MS = 5_000;
/** A sender that has died in its turn holds up the next one for so long. */
const TURN_MS = 10_000;
const TURN = {
  takeTurn: "return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2])",
  endTurn: "return redis.call('GET', KEYS[1]) == ARGV[1] and redis.call('DEL', KEYS[1])",
};

class Flows extends FlowProducer {
  async reconnect(): Promise<void> {
    (await this.backend.client).disconnect(true);
  }
}

/** Celery's canvas, typed by a task map, on one BullMQ queue. A thin layer: `bull` is the queue beneath. */
export class TaskQueue<M extends Tasks> {
  readonly bull: BullQueue;
  readonly name: string;
  protected readonly tasks: M;
  protected readonly shared: { readonly connection: ConnectionOptions; readonly prefix: string };
  readonly #keep: KeepJobs;
  readonly #opened: { close(): Promise<void> }[] = [];
  readonly #workers = new Set<TaskWorker>();
  readonly #underWay = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;
  #closed = false;
  #flows: Flows | undefined;
  #events: QueueEvents | undefined;
  #feed: ResultFeed | undefined;
  #messages: QueueEventsProducer | undefined;

  /** @throws InvalidArgumentError on numbers in `keepResults` that are not whole */
  constructor(tasks: M, options: TaskQueueOptions) {
    this.tasks = tasks;
    this.name = options.name ?? 'tasks';
    const { connection } = options;
    this.shared = {
      connection: 'url' in connection ? { reconnectOnError: isReplica, ...connection } : connection,
      prefix: options.prefix ?? 'bull',
    };
    this.#keep = options.keepResults ?? { age: 3_600, count: 10_000 };
    for (const [name, value = 0] of Object.entries(this.#keep)) integerFrom(`keepResults.${name}`, value, 0);
    this.bull = this.#keepOpen(() => new Queue<Envelope, Json, string, Envelope, Json, string>(this.name, this.shared));
  }

  /** Connects, and looks whether this Redis may hold a queue. @throws EvictionPolicyError */
  async ready(): Promise<this> {
    const client = await this.#live().backend.client;
    const policy = /maxmemory_policy:(\S+)/.exec(await client.info())?.[1];
    if (policy !== undefined && policy !== 'noeviction') throw new EvictionPolicyError(policy);
    return this;
  }

  /** A call of `task`, to be sent by `group`, `chord` or `chain`. */
  s<N extends NameOf<M>>(task: N, payload: PayloadOf<M, N>, options: SendOptions = {}): Signature<N> {
    return { task, payload, options };
  }

  /** Sends a task and returns its ticket at once. @throws InvalidArgumentError before anything is sent. */
  async delay<N extends NameOf<M>>(
    task: N,
    payload: PayloadOf<M, N>,
    options: SendOptions = {},
  ): Promise<AsyncResult<ResultOf<M, N>>> {
    const { name, data, opts } = this.#job(this.s(task, payload, options));
    await this.#call((bull) => bull.add(name, data, opts));
    return this.result(opts.jobId);
  }

  /** The ticket of a task that was sent before, here or elsewhere. */
  result<R>(id: string): AsyncResult<R> {
    return new AsyncResult<R>(id, this.bull, () => this.#results());
  }

  /** Sends all at once; the results come in the order of the signatures. */
  async group<const S extends readonly Signature<NameOf<M>>[]>(signatures: S): Promise<GroupResult<ResultsOf<M, S>>> {
    const jobs = signatures.map((signature) => this.#job(signature));
    await this.#call((bull) => bull.addBulk(jobs));
    const parts: unknown = jobs.map(({ opts }) => this.result(opts.jobId));
    return new GroupResult(parts as GroupResult<ResultsOf<M, S>>['parts']);
  }

  /**
   * Runs `header` in parallel, then `callback` with the list of its results, in the order of the signatures.
   *
   * When a task of the header fails for good, so does the callback (`fail`, the default), or it gets the results of the
   * others (`skip`). BullMQ's own default is neither: the callback would wait for ever.
   * A countdown or an eta is for the parts: BullMQ would count that of the callback from the end of the last of them.
   *
   * @throws InvalidArgumentError when a part has an id: the id is the chord's, and sending it again does nothing.
   */
  async chord<
    const S extends readonly Signature<NameOf<M>>[],
    C extends Taking<M, Parts<M, S, F>>,
    F extends 'fail' | 'skip' = 'fail',
  >(
    header: S,
    callback: C,
    options: SendOptions & { readonly onFailure?: F; readonly countdownMs?: never; readonly eta?: never } = {},
  ): Promise<AsyncResult<ResultOf<M, C>>> {
    if (header.length === 0) throw new InvalidArgumentError('A chord needs at least one task before its callback.');
    const { onFailure = 'fail', ...rest } = options;
    const own = this.#job({ task: callback, payload: undefined, options: rest });
    const before = header.map(({ task, payload, options: { id, ...option } }, index) => {
      if (id === undefined) return this.#part({ task, payload, options: option }, own.opts.jobId, index);
      throw new InvalidArgumentError(`The part ${task} has the id "${id}": give the id to the chord itself.`);
    });
    const last = { ...own, data: { ...own.data, all: before.map(({ opts }) => opts.jobId) } };
    return this.#send({ ...last, children: before.map((job) => this.child(job, onFailure)) }, rest.id !== undefined);
  }

  /**
   * Runs one after the other, as many as there are, each with the result of the one before; the ticket is the last one's.
   * The compiler checks each link, so it must know how many there are. An id of `first` is that of the chain; its
   * `priority` and `expires` are those of each link.
   */
  async chain<A extends NameOf<M>, const L extends readonly string[]>(
    first: Signature<A>,
    ...rest: Links<M, A, L>
  ): Promise<AsyncResult<ChainResult<M, A, L>>> {
    // BullMQ runs children before their parent: the last link is the root, the first one the innermost child.
    const { id = randomUUID(), countdownMs: _, eta: __, ...options } = first.options;
    const link = (place: number, signature: Signature, input?: Envelope) =>
      place === rest.length ? this.#job(signature, input, id) : this.#part(signature, id, place, input);
    let flow = link(0, first);
    for (const [index, task] of rest.entries()) {
      const next = link(index + 1, { task, payload: undefined, options }, { previous: flow.opts.jobId });
      flow = { ...next, children: [this.child(flow, 'fail')] };
    }
    return this.#send(flow, first.options.id !== undefined);
  }

  /**
   * Sends `task` on a schedule, whatever the number of instances that call this with the same `id`: the schedule lives
   * in Redis. A cron pattern needs its time zone. Calling it again with another schedule changes it; a strike that is due
   * by then, and waits for a worker, is not lost.
   * @throws InvalidArgumentError also on an empty `id`, and on a pattern or a time zone that is none
   */
  async beat<N extends NameOf<M>>(id: string, schedule: Schedule, task: N, payload: PayloadOf<M, N>): Promise<void> {
    if (id === '')
      throw new InvalidArgumentError('A schedule needs an id: BullMQ would send it once, and never again.');
    const repeat = 'cron' in schedule ? { pattern: schedule.cron, tz: schedule.tz } : { every: schedule.everyMs };
    if ('everyMs' in schedule) integerFrom('everyMs', schedule.everyMs, 1);
    else checkCron(schedule);
    const { name, data, opts } = this.#job(this.s(task, payload));
    const { jobId: _, delay: __, ...template } = opts;
    const job = { name, data, opts: template };
    await this.#call(() => this.#inTurn(id, () => this.#schedule(this.scheduleId(id), repeat, job)));
  }

  /** BullMQ would drop a strike that is due and that no worker has taken yet, for the next one of the calendar. */
  async #schedule(
    id: string,
    repeat: RepeatOptions,
    job: Parameters<BullQueue['upsertJobScheduler']>[2],
  ): Promise<void> {
    const { next = 0, name, pattern, tz, every, template } = (await this.bull.getJobScheduler(id)) ?? {};
    const waits = ['delayed', 'prioritized', 'waiting'].includes(await this.bull.getJobState(`repeat:${id}:${next}`));
    if (waits && alike({ name, pattern, tz, every, data: {}, ...template }, { ...repeat, ...job })) return;
    const isDue = waits && 'pattern' in repeat && next <= Date.now();
    await this.bull.upsertJobScheduler(id, isDue ? { ...repeat, immediately: true } : repeat, job);
  }

  /** Ends a schedule. Says whether there was one. */
  async endBeat(id: string): Promise<boolean> {
    return this.#call((bull) => bull.removeJobScheduler(this.scheduleId(id)));
  }

  /**
   * Takes a task back, and with a chain's or chord's ticket all tasks before it: what waits is removed, what runs has
   * its signal aborted and is not run again, what is done stays done. A part that its flow can't do without fails, and
   * the flow with it, when a worker comes to it. Says how many it met.
   *
   * What was removed is known no more, and may be sent again at once; what ran, once `keepResults` is over. All parts of a
   * flow run again then, under the same `context.id`, beside an old one that doesn't listen.
   */
  async revoke(id: string): Promise<number> {
    return this.#call(() => this.#revoke(id));
  }

  async #revoke(id: string): Promise<number> {
    // BullMQ's own defaults stop at ten links and at twenty children of each.
    const all = { depth: Number.POSITIVE_INFINITY, maxChildren: 2 ** 31 - 1 };
    const flow = await this.#flowProducer().getFlow({ id, queueName: this.name, prefix: this.shared.prefix, ...all });
    let met = 0;
    // The root first: once it is gone, no end of a child can start it.
    for (const job of nodes(flow)) {
      if (await this.#takeBack(job)) met += 1;
    }
    return met;
  }

  /** Says whether there was anything to take back. */
  async #takeBack(job: BullJob): Promise<boolean> {
    let isMarked = false;
    for (let tries = 1; ; tries++) {
      const seen = await job.getState();
      if (OVER.has(seen) || job.id === undefined) return isMarked;
      try {
        // No run of it begins any more: so what is removed has not been done since we looked.
        await job.updateData({ ...job.data, revoked: true });
        isMarked = true;
        const state = await job.getState();
        if (OVER.has(state)) return true;
        if (state !== 'active' && !(await this.#isNeeded(job))) {
          await job.remove({ removeChildren: false });
          return true;
        }
        // Its worker may be dead, or about to try again: the message is for those that live, the mark for all others.
        this.#messages ??= this.#keepOpen(() => new QueueEventsProducer(this.name, this.shared));
        const message = { eventName: 'revoke', jobId: job.id, sent: String(job.timestamp) };
        await this.#messages.publishEvent(message, EVENTS_KEPT);
        if (state === 'delayed') await job.promote();
        return true;
      } catch (error) {
        // A worker has taken it, or has ended it, since we looked. It may be back already, for its next attempt.
        if (tries >= TRIES_TO_TAKE_BACK && (await job.getState()) === seen) throw error;
      }
    }
  }

  /**
   * Does another wait for it that must not run without it? Once the last of its parts is removed, BullMQ runs it. And
   * without the next strike of a schedule there is none after it.
   */
  async #isNeeded({ parent, opts, repeatJobKey }: BullJob): Promise<boolean> {
    if (repeatJobKey !== undefined) return true;
    if (parent?.id === undefined || !opts.failParentOnFailure) return false;
    return (await this.bull.getJobState(parent.id)) === 'waiting-children';
  }

  /**
   * Starts a worker of this queue in this process. `close` it on SIGTERM, and give it time: it finishes what it runs.
   * @throws EvictionPolicyError, or InvalidArgumentError on an option
   */
  async worker(options: TaskWorkerOptions = {}): Promise<TaskWorker> {
    return this.#call(() => this.#hire(options));
  }

  async #hire(options: TaskWorkerOptions): Promise<TaskWorker> {
    await this.ready();
    // A worker that cannot hear must not begin: its tasks could not be revoked.
    const events = this.#queueEvents();
    await events.waitUntilReady();
    if (this.#closing) throw new QueueClosedError(this.name);
    const worker = this.createWorker(options);
    this.#workers.add(worker);
    worker.bull.once('closed', () => void this.#workers.delete(worker));
    return worker;
  }

  /**
   * Closes what this queue has opened: its workers first (they finish what they run, which may still send), then, once
   * what is being sent has been, the connections. From then on it sends nothing: QueueClosedError. While Redis is away
   * BullMQ's connections don't close: give a shutdown a limit of its own, `setTimeout(process.exit, 30_000).unref()`.
   */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    await Promise.all([...this.#workers].map((worker) => worker.close()));
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, SENDING_MS);
    await Promise.race([Promise.allSettled(this.#underWay), late]);
    clearTimeout(timer);
    this.#closed = true;
    for (const one of this.#opened.toReversed()) await (one instanceof QueueEvents ? closeConnected(one) : one.close());
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  protected createWorker(options: TaskWorkerOptions): TaskWorker {
    return new TaskWorker(this.name, this.tasks, this.shared, options);
  }

  /** BullMQ's options for a job of `task`. */
  protected jobOptions(task: string, options: SendOptions): JobsOptions {
    const { attempts = 3, baseMs = 1_000 } = this.tasks[task]?.retry ?? {};
    return {
      priority: PRIORITY[options.priority ?? 'normal'],
      delay: options.eta ? Math.max(0, options.eta.getTime() - Date.now()) : (options.countdownMs ?? 0),
      attempts,
      // Half of each wait is left to chance, so that those who failed together don't come back together.
      backoff: { type: 'exponential', delay: baseMs, jitter: 0.5 },
      removeOnComplete: this.#keep,
      removeOnFail: this.#keep,
    };
  }

  /** A job of a chain or a chord that others wait for. */
  protected child(flow: Flow, onFailure: 'fail' | 'skip'): Flow {
    const policy = onFailure === 'fail' ? { failParentOnFailure: true } : { ignoreDependencyOnFailure: true };
    return { ...flow, opts: { ...flow.opts, ...policy } };
  }

  /** The id under which the schedule lies in Redis. */
  protected scheduleId(id: string): string {
    return id;
  }

  #job(
    { task, payload, options }: Signature,
    input: Omit<Envelope, 'expires'> = { payload },
    id = options.id ?? randomUUID(),
  ): Flow {
    checkOptions(options);
    if (!Object.hasOwn(this.tasks, task)) throw new InvalidArgumentError(`No task is named ${task}.`);
    try {
      checkJson(payload);
    } catch (error) {
      throw new InvalidArgumentError(`The payload of ${task} can't be sent: ${error}.`, { cause: error });
    }
    const { expires } = options;
    if (Object.hasOwn(this.bull.keys, id))
      throw new InvalidArgumentError(`The id "${id}" is a key of BullMQ's own: try "task-${id}".`);
    const data: Envelope = expires ? { ...input, expires: expires.getTime() } : input;
    return { name: task, queueName: this.name, data, opts: { ...this.jobOptions(task, options), jobId: id } };
  }

  /**
   * BullMQ gives a job one parent, and waits for ever for a part that has ended before: so it gets another id each time
   * that its flow is sent, and whoever runs it the same.
   */
  #part(signature: Signature, flow: string, index: number, input: Envelope = { payload: signature.payload }): Flow {
    const key = `${flow}#part-${index}`;
    return this.#job(signature, { ...input, key }, `${key}#${randomUUID().slice(0, 8)}`);
  }

  /** Nobody else has sent a flow whose id was made for it. */
  async #send<R>(flow: Flow, isNamed: boolean): Promise<AsyncResult<R>> {
    const { jobId } = flow.opts;
    const flows = this.#flowProducer();
    const add = async () => {
      try {
        await flows.add({ ...flow, prefix: this.shared.prefix });
      } catch (error) {
        // The refusal is within the reply to EXEC, where ioredis doesn't look.
        if (isReplica(asError(error))) await flows.reconnect();
        throw error;
      }
    };
    // BullMQ knows the root, and would add its parts to it once more.
    const once = async () => (await this.bull.getJobState(jobId)) === 'unknown' && add();
    await this.#call<unknown>(() => (isNamed ? this.#inTurn(jobId, once) : add()));
    return this.result(jobId);
  }

  /** One sender of an id at a time: what BullMQ is told twice, it adds to the flow that is under way. */
  async #inTurn(id: string, send: () => Promise<unknown>): Promise<void> {
    const client = await this.bull.backend.client;
    for (const [name, lua] of Object.entries(TURN)) client.defineCommand(name, { numberOfKeys: 1, lua });
    const [key, sender] = [`${this.bull.toKey(id)}:sending`, randomUUID()];
    while (!(await client.runCommand('takeTurn', [key, sender, TURN_MS]))) await pause(10);
    try {
      await send();
    } finally {
      await client.runCommand('endTurn', [key, sender]);
    }
  }

  /** What has begun is done before the connections close. @throws QueueClosedError */
  async #call<T>(make: (bull: BullQueue) => Promise<T>): Promise<T> {
    const call = make(this.#live());
    this.#underWay.add(call);
    try {
      return await call;
    } finally {
      this.#underWay.delete(call);
    }
  }

  /** @throws QueueClosedError */
  #live(): BullQueue {
    if (this.#closed) throw new QueueClosedError(this.name);
    return this.bull;
  }

  /** A closed one of BullMQ does nothing, and doesn't say so. */
  #flowProducer(): Flows {
    this.#live();
    this.#flows ??= this.#keepOpen(() => new Flows(this.shared));
    return this.#flows;
  }

  #queueEvents(): QueueEvents {
    this.#live();
    if (this.#events) return this.#events;
    this.#events = this.#keepOpen(() => new Events(this.name, this.shared));
    const hear: Messages['revoke'] = ({ jobId, sent }) => {
      for (const worker of this.#workers) worker.revoke(jobId, sent);
    };
    return this.#events.on<Messages, 'revoke'>('revoke', hear);
  }

  async #results(): Promise<ResultFeed> {
    const events = this.#queueEvents();
    this.#feed ??= new ResultFeed(events);
    await events.waitUntilReady();
    return this.#feed;
  }

  #keepOpen<C extends { close(): Promise<void> }>(make: () => C): C {
    this.#live();
    const one = make();
    this.#opened.push(one);
    return one;
  }
}

/**
 * After a failover the address leads to another server, and the one that this connection has is a replica. A Redis before
 * 7 tells what a script has met at the end of its own error: `ERR Error running script …: -READONLY …`.
 */
const isReplica = ({ message }: Error): boolean => /^(ERR .* -)?(READONLY|UNBLOCKED)\b/.test(message);

/** Do they say the same as JSON, whatever the order of their keys? */
const alike = (one: object, other: object): boolean =>
  isDeepStrictEqual(JSON.parse(JSON.stringify(one)), JSON.parse(JSON.stringify(other)));

/** BullMQ's types don't say that a child that is no longer known is undefined. */
function* nodes(flow: JobNode | undefined): Generator<BullJob> {
  if (!flow) return;
  yield flow.job;
  for (const child of flow.children ?? []) yield* nodes(child);
}

function checkCron({ cron, tz }: Extract<Schedule, { cron: string }>): void {
  try {
    // The empty pattern is every minute to its parser, and none to BullMQ.
    if (cron !== '' && defaultRepeatStrategy(Date.now(), { pattern: cron, tz }) !== undefined) return;
  } catch (error) {
    throw new InvalidArgumentError(`"${cron}" is no cron pattern, or "${tz}" no time zone: ${error}.`, {
      cause: error,
    });
  }
  throw new InvalidArgumentError(`"${cron}" is the pattern of no day.`);
}

function checkOptions({ id, countdownMs, eta, expires, priority = 'normal' }: SendOptions): void {
  if (
    id !== undefined &&
    (id === '' || id.includes(':') || /^([0-9]+|-0+|NaN)$/.test(id) || Number(id) < 0 || !id.isWellFormed())
  ) {
    throw new InvalidArgumentError(
      `The id "${id}" must not be empty, hold a colon or half a character, or be a whole number or one below 0: ` +
        `try "task-${id}".`,
    );
  }
  if (!Object.hasOwn(PRIORITY, priority)) throw new InvalidArgumentError(`No priority is named ${priority}.`);
  if (countdownMs !== undefined) integerFrom('countdownMs', countdownMs, 0);
  if (countdownMs !== undefined && eta) throw new InvalidArgumentError('Give countdownMs or eta, not both.');
  for (const [name, date] of Object.entries({ eta, expires })) {
    if (date && Number.isNaN(date.getTime())) throw new InvalidArgumentError(`${name} is an invalid Date.`);
  }
}
