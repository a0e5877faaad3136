import type { Browser, BrowserContext, Request, Route } from '@playwright/test';
import { InvalidArgumentError, UnusedFaultError } from './errors.ts';

/** Which requests: `/orders`, `POST /orders`, `/books*` (a beginning; the query doesn't count), or a question to each. */
export type Match = string | ((request: Request) => boolean);

export interface FaultOptions {
  /** How many requests it befalls before it is over. Default: all until `heal`. */
  readonly times?: number;
}

export interface Fault {
  /** How many requests it has befallen. */
  readonly hits: number;
}

export interface SetFault {
  readonly name: string;
  readonly matches: (request: Request) => boolean;
  readonly times: number;
  readonly befall: (route: Route) => Promise<void>;
  hits: number;
}

/** What a network does to the pages of a context. The newest fault that matches befalls a request, and no other. */
export class Network implements AsyncDisposable {
  protected readonly context: BrowserContext;
  protected readonly faults: SetFault[] = [];
  /** Those that are over, too. */
  protected readonly known: SetFault[] = [];
  /** What a function of the test's has thrown first. */
  protected broken: { readonly error: unknown } | undefined;
  readonly #sleepers = new Set<() => void>();
  readonly #handler = (route: Route) => this.handle(route);

  protected constructor(context: BrowserContext) {
    this.context = context;
  }

  static async open(context: BrowserContext): Promise<Network> {
    const network = new this(context);
    await context.route('**/*', network.#handler);
    return network;
  }

  /** The cable is out: every request fails, and `navigator.onLine` says so. A WebSocket that is open stays open. */
  async offline(): Promise<void> {
    await this.context.setOffline(true);
  }

  async online(): Promise<void> {
    await this.context.setOffline(false);
  }

  /** Requests wait on their way: `ms` milliseconds, or what a function says for each. */
  slow(match: Match, ms: number | (() => number), options?: FaultOptions): Fault {
    const next = typeof ms === 'function' ? ms : () => ms;
    if (typeof ms === 'number') delayOf(ms);
    return this.set('slow', match, options, async (route) => {
      const wait = this.asked(() => delayOf(next()));
      if (wait === undefined) return route.abort('failed');
      await this.#rest(wait);
      await route.fallback();
    });
  }

  /** The connection breaks before the request is at the server. */
  reset(match: Match, options?: FaultOptions): Fault {
    return this.set('reset', match, options, (route) => route.abort('connectionreset'));
  }

  /**
   * The server gets the request and does it, and the answer is lost.
   * @throws InvalidArgumentError in a context without a browser (Android, Electron), which could send nothing on the side
   */
  lose(match: Match, options?: FaultOptions): Fault {
    const browser = this.context.browser();
    if (!browser) throw new InvalidArgumentError('lose: this context belongs to no browser');
    return this.set('lose', match, options, async (route) => {
      await this.arrive(route, browser).catch(() => {});
      await route.abort('connectionreset');
    });
  }

  /** Something in between answers in the server's place: `answer('/books', 503, { times: 1 })`. */
  answer(
    match: Match,
    status: number,
    options: FaultOptions & { readonly body?: string; readonly type?: string } = {},
  ): Fault {
    if (!Number.isInteger(status) || status < 200 || status > 599)
      throw new InvalidArgumentError(`${status} is no status of an answer: 200 to 599`);
    const { body = '', type = 'text/plain' } = options;
    return this.set(`answer ${status}`, match, options, (route) => route.fulfill({ status, body, contentType: type }));
  }

  /** Ends every fault; what waits goes on at once. */
  async heal(): Promise<void> {
    this.faults.length = 0;
    for (const wake of this.#sleepers) wake();
    await this.online();
  }

  /**
   * @throws UnusedFaultError naming each fault that befell no request: a path that nobody asks for proves nothing; and whatever a
   *   function of the test's has thrown, a match or a delay (its request has failed)
   */
  verify(): void {
    if (this.broken) throw this.broken.error;
    const unused = this.known.filter(({ hits }) => hits === 0).map(({ name }) => name);
    if (unused.length === 0) return;
    throw new UnusedFaultError(`befell no request: ${unused.join(', ')}. Is the path the one that the page asks for?`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.heal().catch(() => {});
    await this.context.unroute('**/*', this.#handler).catch(() => {});
  }

  protected set(
    kind: string,
    match: Match,
    { times = Number.POSITIVE_INFINITY }: FaultOptions = {},
    befall: SetFault['befall'],
  ): Fault {
    if (times !== Number.POSITIVE_INFINITY && (!Number.isSafeInteger(times) || times < 1))
      throw new InvalidArgumentError(`times is ${times}: a whole number from 1 on`);
    const name = `${kind} ${typeof match === 'string' ? match : 'what a function says'}`;
    const fault: SetFault = { name, matches: matcher(match), times, befall, hits: 0 };
    this.faults.push(fault);
    this.known.push(fault);
    return fault;
  }

  /** The fault that befalls this request, counted: two requests at once never share the last time. */
  protected take(request: Request): SetFault | undefined {
    const fault = this.faults.findLast(({ matches, hits, times }) => hits < times && matches(request));
    if (fault) fault.hits++;
    return fault;
  }

  protected async handle(route: Route): Promise<void> {
    const taken = this.asked(() => ({ fault: this.take(route.request()) }));
    const befall = taken ? (taken.fault?.befall ?? ((it) => it.fallback())) : (it: Route) => it.abort('failed');
    // If it fails, the page has left meanwhile: nobody waits for this answer.
    await befall(route).catch(() => {});
  }

  /** Sends the request as the page would have. Its answer reaches nobody: not even a cookie of it. */
  protected async arrive(route: Route, browser: Pick<Browser, 'newContext'>): Promise<void> {
    const request = route.request();
    const headers = Object.entries(await request.allHeaders()).filter(([name]) => !name.startsWith(':'));
    await using aside = await browser.newContext({ ignoreHTTPSErrors: true });
    await aside.request.fetch(request, { headers: Object.fromEntries(headers), maxRedirects: 0 });
  }

  /** What a function of the test's says. Thrown here an error would be nobody's: `verify` tells it. */
  protected asked<T>(question: () => T): T | undefined {
    try {
      return question();
    } catch (error) {
      this.broken ??= { error };
      return undefined;
    }
  }

  async #rest(ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, ms);
    this.#sleepers.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#sleepers.delete(resolve);
  }
}

function matcher(match: Match): (request: Request) => boolean {
  if (typeof match === 'function') return match;
  const [, method, path = '', more] = /^(?:([A-Z]+) )?(\/[^?#*\s]*)(\*?)$/.exec(match) ?? [];
  if (path === '')
    throw new InvalidArgumentError(`"${match}" matches nothing: say "/path", "POST /path" or "/beginning*"`);
  return (request) => {
    if (method !== undefined && request.method() !== method) return false;
    const asked = new URL(request.url()).pathname;
    return more === '' ? asked === path : asked.startsWith(path);
  };
}

function delayOf(ms: number): number {
  if (Number.isFinite(ms) && ms >= 0 && ms < 2 ** 31) return ms;
  throw new InvalidArgumentError(`a delay of ${ms} ms: from 0 on, and less than 25 days`);
}
