import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { checked } from '../src/drain-options.ts';
import type { DockerRule, Drained, Hit, Parsed } from '../src/index.ts';
import { rules as all, BadPatternError, type DrainOptions, lintDockerfile as reference } from '../src/index.ts';

// Three things are yours: the stop of a server (`Drain`), what enters a build (`dockerignore`), and six rules of the
// linter. The rest is given. For the rules: `historyOf`, `lastOf`, `execForm`, `wordsOf` and `copied` of src/stages.ts,
// `commandsOf`, `commandsIn`, `scriptOf` and `split` of src/shell.ts, `installs` of src/installs.ts and `each` of
// src/rules/rule.ts read the Dockerfile for you: import them from '../src/stages.ts' and so on, and `Env` and `Arg` from
// 'dockerfile-ast'. The other files of src/ hold solutions. `h` in `pnpm lab learn docker` gives a hint.
export type {
  Confidence,
  Context,
  DockerRule,
  Drained,
  DrainOptions,
  Finding,
  Health,
  Hit,
  Judged,
  LintOptions,
  Parsed,
  Position,
  Rule,
  Severity,
  Span,
  Stage,
  Suppression,
} from '../src/index.ts';
export {
  BadPatternError,
  fingerprints,
  healthcheck,
  InvalidDrainOptionError,
  inOrder,
  suppress,
  suppressionRules,
  toSarif,
  UnreadableDockerfileError,
} from '../src/index.ts';

/**
 * Stops an HTTP server without losing a request. Given: it hears the signals, knows who is in flight and who is
 * connected, and keeps the times. Yours: what is done in which order.
 */
export class Drain implements Disposable {
  protected readonly server: Server;
  protected readonly options: Required<DrainOptions>;
  /** Requests whose answer isn't out. */
  protected readonly inFlight = new Set<ServerResponse>();
  /** All connections that are open. `socket.bytesRead === 0`: it has never asked. */
  protected readonly sockets = new Set<Socket>();
  /** Of each connection the request that came last: clients may send several at once (pipelining). */
  protected readonly newest = new WeakMap<Socket, ServerResponse>();
  /** Settles when the server has stopped. Never rejects. */
  readonly drained: Promise<Drained>;
  readonly #settle: (outcome: Drained) => void;
  readonly #began = new AbortController();
  /** A second signal resolves it. */
  readonly #hurry = Promise.withResolvers<void>();
  #finished = 0;

  constructor(server: Server, options: DrainOptions = {}) {
    this.server = server;
    this.options = checked(options);
    const { promise, resolve } = Promise.withResolvers<Drained>();
    [this.drained, this.#settle] = [promise, resolve];
    server.on('connection', this.#connect).prependListener('request', this.#enter);
    for (const signal of this.options.signals) process.on(signal, this.#onSignal);
  }

  /** False from the signal on: what the readiness page says. */
  get ready(): boolean {
    return !this.#began.signal.aborted;
  }

  get signal(): AbortSignal {
    return this.#began.signal;
  }

  drain(reason = 'drain()'): Promise<Drained> {
    if (this.ready) {
      this.#began.abort(new Error(`the server stops: ${reason}`));
      const start = performance.now();
      const end = Promise.race([after(this.options.graceMs), this.#hurry.promise]);
      this.stop(end).then((cut) => {
        this[Symbol.dispose]();
        this.#settle({ reason, finished: this.#finished, cut, took: performance.now() - start });
      });
    }
    return this.drained;
  }

  [Symbol.dispose](): void {
    for (const signal of this.options.signals) process.off(signal, this.#onSignal);
    this.server.off('connection', this.#connect).off('request', this.#enter);
  }

  /**
   * From the signal to the end: `after(ms)` waits, `end` resolves when the grace time is over.
   * @returns how many requests and connections had to be cut off
   */
  protected stop(_end: Promise<void>): Promise<number> {
    return todo('stop');
  }

  /** Called for each request that comes in while the server stops. What shall its client know? */
  protected sayGoodbye(_response: ServerResponse): void {}

  /** Called when a request has been answered after the server closed: its connection may wait for another. */
  protected hangUp(): void {}

  readonly #onSignal = (signal: NodeJS.Signals) => {
    if (this.ready) void this.drain(signal);
    else this.#hurry.resolve();
  };

  readonly #connect = (socket: Socket) => {
    this.sockets.add(socket);
    socket.once('close', () => this.sockets.delete(socket));
  };

  readonly #enter = ({ socket }: IncomingMessage, response: ServerResponse) => {
    const before = this.newest.get(socket);
    this.inFlight.add(response);
    this.newest.set(socket, response);
    if (!this.ready) {
      if (before?.headersSent === false) before.removeHeader('connection');
      this.sayGoodbye(response);
    }
    response.once('close', () => {
      this.inFlight.delete(response);
      if (this.ready) return;
      if (response.writableFinished) this.#finished += 1;
      if (!this.server.listening) this.hangUp();
    });
  };
}

/** Resolves after `ms`, and keeps no process alive. */
function after(ms: number): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  setTimeout(resolve, ms).unref();
  return promise;
}

/**
 * Which files of a folder `docker build` takes along: give back whether the file at a path (relative, with `/`) enters.
 * Given: the lines as patterns. Yours: what a pattern matches, and who has the last word.
 * @throws BadPatternError
 */
export function dockerignore(text: string): (path: string) => boolean {
  const patterns = text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .flatMap((raw, index) => {
      const line = raw.trim();
      if (raw.startsWith('#') || line === '') return [];
      const negated = line.startsWith('!');
      const pattern = line.replace(/^!\s*/, '').replace(/^(?:\.?\/)+|\/+$/g, '');
      if (pattern === '') throw new BadPatternError(index + 1, line, 'names nothing');
      return [{ negated, pattern }];
    });
  return (path) => enters(path, patterns);
}

/**
 * `*` stays within a folder, `?` is one character, `**` is any number of folders: `a**log` is `alog`, `a/log`, `a/b/log`.
 * `**log`, with no other sign in it, is whatever ends in `log`.
 */
function enters(_path: string, _patterns: readonly { negated: boolean; pattern: string }[]): boolean {
  return todo('enters');
}

/** Yours: what each of these yields. Its id, title and advice are given. */
const mine: Readonly<Record<string, (file: Parsed) => Iterable<Hit>>> = {
  /** CMD or ENTRYPOINT in the shell form. */
  DL3025: () => todo('DL3025'),
  /** npm, or a shell that doesn't exec, as process 1 of the last stage. The shell form is DL3025's alone. */
  CL1001: () => todo('CL1001'),
  /** The last USER is root. */
  DL3002: () => todo('DL3002'),
  /** A secret in ENV or ARG, by its name; or anywhere, by its look: a token of npm, GitHub or AWS, a password in a URL. */
  CL1003: () => todo('CL1003'),
  /** Copied, then deleted. After `COPY . .` nobody knows the names: only what is called as secrets are. */
  CL1004: () => todo('CL1004'),
  /** The source is copied before the dependencies are installed; the COPY is the place. */
  CL1005: () => todo('CL1005'),
};

export const rules: readonly DockerRule[] = all.map((rule) => ({ ...rule, check: mine[rule.id] ?? rule.check }));

export const lintDockerfile: typeof reference = (text, options) => reference(text, { rules, ...options });

function todo(what: string): never {
  throw new Error(`TODO: ${what}`);
}
