import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { checkIntegerIn, InvalidArgumentError, OpsError, UnknownTokenError } from './errors.ts';
import { Job, type Machine, type StepReport } from './machine.ts';

const Next = z.object({ job: Job.optional() });
const Heard = z.object({ cancel: z.boolean() });

export interface AgentOptions {
  /** A controller, or what stands before several. */
  readonly url: string;
  readonly token: string;
  readonly machine: Machine;
  /** Milliseconds between two signs of life while a job runs. Default 1,000. */
  readonly beatMs?: number;
  /** Milliseconds for one answer, and after a failure. Default 10,000 and 500. */
  readonly timeoutMs?: number;
  readonly retryMs?: number;
  /** Hears of what goes wrong and is tried again; must not throw. */
  readonly onError: (error: unknown) => void;
}

/** The controller has not answered, or not as it should. */
export class ControllerUnavailableError extends OpsError {
  readonly status = 502;
}

/** What was sent can't be taken, now or later. */
class RefusedError extends ControllerUnavailableError {}

/**
 * One machine's agent. It connects out, with a token that is the machine's own, takes one job at a time, and says how it goes
 * until it is heard. It opens no port.
 */
export class Agent implements AsyncDisposable {
  readonly #o: Required<AgentOptions>;
  /** Another one after each start: the controller finds out that the agent before it is no more. */
  readonly #session = randomUUID();
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  /** The run that was begun last: what was begun is not begun again, whatever the controller has heard of it. */
  #begun = '';

  /** @throws InvalidArgumentError */
  constructor(options: AgentOptions) {
    this.#o = { beatMs: 1_000, timeoutMs: 10_000, retryMs: 500, ...options };
    if (!URL.canParse(this.#o.url)) throw new InvalidArgumentError(`url is ${this.#o.url}: give "https://…".`);
    for (const name of ['beatMs', 'timeoutMs', 'retryMs'] as const) checkIntegerIn(name, this.#o[name], 1);
    this.#running = this.#run();
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      try {
        const { job } = Next.parse(await this.#post('/agent/next', {}));
        if (job?.run === this.#begun)
          throw new ControllerUnavailableError(`${job.run} is done, and not taken as done.`);
        if (job) await this.#work(job);
      } catch (error) {
        if (signal.aborted) return;
        await this.#failed(error);
      }
    }
  }

  async #work(job: Job): Promise<void> {
    this.#begun = job.run;
    const cancel = new AbortController();
    const stopped = () => cancel.abort(this.#stop.signal.reason);
    this.#stop.signal.addEventListener('abort', stopped);
    const reports = new Map<string, StepReport>();
    let done = false;
    let silent = false;
    const over = new AbortController();
    const working = this.#o.machine.run(job, cancel.signal, (report) => void reports.set(report.name, report));
    const ended = working.then(() => {
      done = true;
      over.abort();
    });
    // The last word is repeated until it is heard. It says what is, not what is new, so that one may get lost.
    for (let last = false; !last && !this.#stop.signal.aborted; ) {
      await delay(this.#o.beatMs, undefined, { signal: over.signal }).catch(() => {});
      last = done;
      try {
        const said = [...reports.values()].map((report) => (silent ? { ...report, output: '' } : report));
        const body = { run: job.run, reports: said, done };
        const heard = Heard.parse(await this.#post('/agent/beat', body));
        if (heard.cancel) cancel.abort(new Error('It was cancelled.'));
      } catch (error) {
        // What is refused once is refused again, such as what is too long for a proxy: said without output, and else not at
        // all. Repeating it would keep the machine from its next job; the controller finds out by silence.
        last = done && silent && error instanceof RefusedError;
        silent ||= error instanceof RefusedError;
        await this.#failed(error);
      }
    }
    await ended;
    this.#stop.signal.removeEventListener('abort', stopped);
  }

  /** Tells of it, and waits: not as long as all the others, when a controller is back. */
  async #failed(error: unknown): Promise<void> {
    this.#o.onError(error);
    const ms = this.#o.retryMs * (0.5 + Math.random());
    await delay(ms, undefined, { signal: this.#stop.signal }).catch(() => {});
  }

  async #post(path: string, body: object): Promise<unknown> {
    const { url, token, timeoutMs } = this.#o;
    const call = new AbortController();
    const abort = () => call.abort(this.#stop.signal.reason);
    const timer = setTimeout(() => call.abort(new ControllerUnavailableError(`${url} is silent.`)), timeoutMs);
    this.#stop.signal.addEventListener('abort', abort);
    try {
      const response = await fetch(new URL(path, url), {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        body: JSON.stringify({ session: this.#session, ...body }),
        signal: call.signal,
        redirect: 'error',
      });
      if (!response.ok) await response.body?.cancel();
      if (response.status === 401) throw new UnknownTokenError();
      if ([400, 413, 422].includes(response.status)) throw new RefusedError(`${url} answers ${response.status}.`);
      if (!response.ok) throw new ControllerUnavailableError(`${url} answers ${response.status}.`);
      return await response.json();
    } finally {
      clearTimeout(timer);
      this.#stop.signal.removeEventListener('abort', abort);
    }
  }

  /** Ends what runs, with all its processes; services go on. The controller hears nothing more, and finds out. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Error('The agent stops.'));
    await this.#running;
  }
}
