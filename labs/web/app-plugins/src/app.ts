import { inspect } from 'node:util';
import fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify';
import fastifyPlugin from 'fastify-plugin';
import {
  InvalidAppError,
  InvalidDefinitionError,
  PluginTeardownError,
  type Problem,
  SetupError,
  SetupTimeoutError,
  TeardownError,
} from './errors.ts';
import { guardClose } from './guard.ts';
import type { Checked, Mount } from './plugin.ts';
import { Blanks, wordsOf } from './secret.ts';
import { wiringProblems } from './wiring.ts';

export interface AppConfig {
  /** In the order in which they are set up: each after those that it depends on. */
  readonly plugins: readonly Mount[];
  /** Milliseconds for each setup. Default 10 000. */
  readonly setupTimeoutMs?: number;
  /** Milliseconds for each teardown. Default 10 000. */
  readonly teardownTimeoutMs?: number;
  /** Milliseconds that `close()` gives requests that are under way; then their connections are cut. Default 10 000. */
  readonly closeGraceMs?: number;
  /** Aborted while the app is built: what is set up is torn down, and `buildApp` rejects with the signal's reason. */
  readonly signal?: AbortSignal;
  /** Gets fastify's log, a line of JSON at a time, secrets blanked out. Default: no log. */
  readonly log?: { readonly level?: string; readonly write: (line: string) => void };
  /** What else fastify takes: `trustProxy`, `bodyLimit`, … */
  readonly server?: Omit<FastifyServerOptions, 'logger' | 'loggerInstance' | 'pluginTimeout'>;
}

/**
 * An application factory (https://flask.palletsprojects.com/en/stable/patterns/appfactories/): each call makes an app that
 * shares nothing with any other. First everything is checked, then the plugins are set up in their order by avvio, fastify's
 * loader. The app is ready and does not listen yet: `await app.listen({ port })`. `app.close()` ends it: no new requests, those
 * under way are waited for, then each plugin is torn down, the last one first.
 *
 * @throws InvalidAppError with all that is wrong, nothing having been set up; SetupError (SetupTimeoutError), what had been set
 *   up being torn down; InvalidDefinitionError for an option, and what fastify throws for one of `server` or `log`; the signal's reason. `close()` rejects with a TeardownError.
 */
export async function buildApp(config: AppConfig): Promise<FastifyInstance> {
  return await new Assembly(config).build();
}

/** One making of one app. */
export class Assembly {
  protected readonly mounts: readonly Mount[];
  /** What each plugin of the hall provides, by its name. */
  protected readonly provided = new Map<string, unknown>();
  protected readonly teardownFailures: PluginTeardownError[] = [];
  protected readonly limits: {
    readonly setupTimeoutMs: number;
    readonly teardownTimeoutMs: number;
    readonly closeGraceMs: number;
  };
  /** What a setup has thrown: avvio would not bring it back as it was. */
  protected thrown: { readonly error: unknown } | undefined;
  readonly #options: AppConfig;
  readonly #stop = new AbortController();
  readonly #blanks = new Blanks();
  #blamed = 'the app';
  #log: FastifyInstance['log'] | undefined;

  constructor(options: AppConfig) {
    this.#options = options;
    if (!Array.isArray(options?.plugins)) {
      throw new InvalidDefinitionError(`plugins is ${inspect(options?.plugins, { depth: 0 })}: give a list.`);
    }
    this.mounts = [...options.plugins];
    for (const [place, mount] of this.mounts.entries()) {
      if (typeof mount?.check === 'function') continue;
      throw new InvalidDefinitionError(`plugins[${place}] is no mount: give what with() or at() of a plugin returns.`);
    }
    const { log, signal } = options;
    if (log && typeof log.write !== 'function') throw new InvalidDefinitionError('log has no write: give a function.');
    if (signal && typeof signal.throwIfAborted !== 'function')
      throw new InvalidDefinitionError('signal is no AbortSignal.');
    const { setupTimeoutMs = 10_000, teardownTimeoutMs = 10_000, closeGraceMs = 10_000 } = options;
    this.limits = { setupTimeoutMs, teardownTimeoutMs, closeGraceMs };
    for (const [name, ms] of Object.entries(this.limits)) {
      if (Number.isInteger(ms) && ms >= 1 && ms < 2 ** 31) continue;
      throw new InvalidDefinitionError(`${name} is ${inspect(ms)}: give whole milliseconds from 1 to 2 147 483 647.`);
    }
  }

  async build(): Promise<FastifyInstance> {
    const { signal } = this.#options;
    signal?.throwIfAborted();
    const abort = () => this.#stop.abort(signal?.reason);
    signal?.addEventListener('abort', abort);
    try {
      const checked = await unlessAborted(this.check(), this.#stop.signal);
      this.#blanks.note(checked.map(([, { config }]) => config));
      const app = this.create();
      for (const [mount, ready] of checked) this.register(app, mount, ready);
      await this.boot(app);
      return app;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  /** Aborted when the app will not begin: for setups that are still at work. */
  protected get signal(): AbortSignal {
    return this.#stop.signal;
  }

  /** @throws InvalidAppError with all that is wrong in all of them */
  protected async check(): Promise<[Mount, Checked][]> {
    const problems = this.wiring();
    const checked: [Mount, Checked][] = [];
    const checks = this.mounts.map(async (mount) => ({ mount, result: await mount.check() }));
    for (const { mount, result } of await Promise.all(checks)) {
      if (result.problems) for (const problem of result.problems) problems.push(problem);
      else checked.push([mount, result]);
    }
    if (problems.length > 0) throw new InvalidAppError(problems);
    return checked;
  }

  protected wiring(): Problem[] {
    return wiringProblems(this.mounts);
  }

  protected create(): FastifyInstance {
    const { log, server } = this.#options;
    const stream = log && { write: (line: string) => log.write(this.#blanks.text(line)) };
    const app = fastify({
      ...server,
      ...(stream && { logger: { level: log?.level ?? 'info', stream } }),
      pluginTimeout: this.limits.setupTimeoutMs,
    });
    this.#log = app.log;
    // fastify's answer to an error has the error's message.
    app.addHook('onSend', (_request, reply, payload, done) => {
      done(null, reply.statusCode >= 500 && typeof payload === 'string' ? this.#blanks.text(payload) : payload);
    });
    app.addHook('onReady', async () => {
      this.#blamed = 'an onReady hook';
    });
    guardClose(app, this.limits.closeGraceMs);
    let closed: Promise<undefined> | undefined;
    app.close = new Proxy(app.close, {
      apply: (close, _self, [done]) => {
        closed ??= this.#end(Reflect.apply(close, app, []));
        if (typeof done !== 'function') return closed;
        closed.then(() => done(), done);
        return undefined;
      },
    });
    return app;
  }

  /** Of the hooks that plugins have added themselves avvio tells the last that has failed. */
  async #end(closed: PromiseLike<undefined>): Promise<undefined> {
    try {
      await closed;
    } catch (error) {
      this.failed('a hook of the end', error);
    }
    if (this.teardownFailures.length > 0) throw new TeardownError(this.teardownFailures);
  }

  /** Of what a teardown has thrown, without its secrets. */
  protected failed(title: string, error: unknown): void {
    const cause = this.#blanks.error(error);
    this.fail(title, wordsOf(cause), { cause });
  }

  protected fail(title: string, why: string, options?: ErrorOptions): void {
    const failure = new PluginTeardownError(title, why, options);
    this.teardownFailures.push(failure);
    // Of a setup that came too late nobody else is told.
    this.#log?.error(failure);
  }

  /** Hands the plugin to avvio: on the hall itself, or encapsulated under its prefix. */
  protected register(app: FastifyInstance, mount: Mount, checked: Checked): void {
    const { name, dependencies, prefix } = mount;
    const load = async (instance: FastifyInstance) => {
      this.blame(mount);
      await this.setUp(instance, mount, checked).catch((error: unknown) => {
        this.thrown = { error };
        // avvio takes a falsy one for none, and fastify looks into it.
        throw new Error(`${mount.title} could not be set up`);
      });
    };
    const encapsulate = prefix !== undefined;
    app.register(fastifyPlugin(load, { name, dependencies: [...dependencies], encapsulate }), { prefix: prefix ?? '' });
  }

  /** What avvio reports from now on is this one's. */
  protected blame(mount: Mount): void {
    this.#blamed = mount.title;
  }

  /** One plugin's turn: its setup now, its teardown when the app is closed. */
  protected async setUp(app: FastifyInstance, mount: Mount, checked: Checked): Promise<void> {
    let tearDown: (() => Promise<void>) | undefined;
    let closed = false;
    app.addHook('onClose', async () => {
      closed = true;
      await tearDown?.();
    });
    const { signal } = this;
    signal.throwIfAborted();
    const setup = async () => {
      const { provided, teardown } = await checked.setup(app, this.provided, signal);
      const end = () => this.tearDown(mount, teardown);
      // avvio has given it up, and the app is gone.
      if (closed) return end();
      tearDown = end;
      if (mount.prefix === undefined) this.provided.set(mount.name, provided);
    };
    await unlessAborted(setup(), signal);
  }

  /** Rejects never: the others have their turn. */
  protected async tearDown(mount: Mount, teardown: () => Promise<void>): Promise<void> {
    const ms = this.limits.teardownTimeoutMs;
    const late = Symbol('late');
    let timer: NodeJS.Timeout | undefined;
    try {
      const limit = new Promise((resolve) => {
        timer = setTimeout(resolve, ms, late);
      });
      if ((await Promise.race([teardown(), limit])) === late) this.fail(mount.title, `it has not ended in ${ms} ms`);
    } catch (error) {
      this.failed(mount.title, error);
    } finally {
      clearTimeout(timer);
    }
  }

  /** Has avvio load what is registered. When that fails, what has been set up is torn down. */
  protected async boot(app: FastifyInstance): Promise<void> {
    try {
      await app.ready();
      this.signal.throwIfAborted();
    } catch (error) {
      await this.undo(app, error);
      throw this.setupError(error);
    }
  }

  /** Tells setups that are at work to end, and closes the app; what fails in that is among `teardownFailures`. */
  protected async undo(app: FastifyInstance, why: unknown): Promise<void> {
    this.#stop.abort(why);
    // What fails in it has been noted, and logged.
    await app.close().catch(() => {});
  }

  /** What avvio has reported, in the name of whom it is to blame on; or the reason of whoever has aborted the start. */
  protected setupError(error: unknown): unknown {
    const { signal } = this.#options;
    if (signal?.aborted) return signal.reason;
    const alsoFailed = [...this.teardownFailures];
    if (error instanceof Error && 'code' in error && error.code === 'FST_ERR_PLUGIN_TIMEOUT') {
      const why = `it has not ended in ${this.limits.setupTimeoutMs} ms`;
      return new SetupTimeoutError(this.#blamed, why, { alsoFailed });
    }
    const cause = this.#blanks.error(this.thrown ? this.thrown.error : error);
    return new SetupError(this.#blamed, wordsOf(cause), { cause, alsoFailed });
  }
}

/** The outcome of `promise`, or the reason of `signal` as soon as it aborts, even if the promise never settles. */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
