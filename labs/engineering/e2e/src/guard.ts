import type { BrowserContext, Page } from '@playwright/test';
import { InvalidArgumentError, type Noise, NoisyPageError } from './errors.ts';

export interface GuardOptions {
  /** The app's own address. */
  readonly baseURL: string;
  /** Origins that its pages may ask besides. Default none: whatever else they ask for is blocked. */
  readonly origins?: readonly string[];
}

/** How many are kept, and how much of each: a page that complains in a loop fills no memory. */
const KEPT = 100;
const TEXT = 500;
/** How long a page may take to say that it has said all. A page that hangs is not waited for. */
const LAST_WORDS_MS = 1000;

/**
 * Listens to every page of a context, popups and second tabs too: console errors, exceptions that nobody caught, crashes,
 * and requests and sockets to strangers, which are blocked (a redirect is only told of, where Playwright tells of it). `verify` at the end fails the test that made the noise.
 */
export class Guard implements AsyncDisposable {
  /** In the order in which they came. */
  readonly noises: Noise[] = [];
  /** How many came that were not kept. */
  dropped = 0;
  protected readonly context: BrowserContext;
  protected readonly announced: { readonly said: string; readonly pattern: RegExp; heard: boolean }[] = [];
  readonly #own: ReadonlySet<string>;
  readonly #blocked = new Set<string>();
  #over = false;
  readonly #isForeign = (url: URL) => this.isForeign(url);

  protected constructor(context: BrowserContext, { baseURL, origins = [] }: GuardOptions) {
    this.context = context;
    this.#own = new Set([baseURL, ...origins].map(originOf));
  }

  /** @throws InvalidArgumentError when an origin is no http address */
  static async watch(context: BrowserContext, options: GuardOptions): Promise<Guard> {
    const guard = new this(context, options);
    guard.listen();
    await context.route(guard.#isForeign, (route) => {
      const url = route.request().url();
      guard.#blocked.add(url);
      guard.note({ kind: 'foreign', text: `${route.request().method()} ${url}`, url });
      return route.abort('blockedbyclient').catch(() => {});
    });
    await context.routeWebSocket(guard.#isForeign, (socket) => {
      if (guard.#over) return void socket.connectToServer();
      guard.note({ kind: 'foreign', text: `WebSocket ${socket.url()}`, url: socket.url() });
      return socket.close();
    });
    // Playwright can't stop where an answer leads to, and doesn't always tell of it.
    context.on('request', (request) => {
      const url = request.url();
      if (request.redirectedFrom() === null || !guard.isForeign(new URL(url))) return;
      guard.#blocked.add(url);
      guard.note({ kind: 'foreign', text: `${request.method()} ${url} (a redirect, not blocked)`, url });
    });
    return guard;
  }

  /** What it hears, and where. */
  protected listen(): void {
    const { context } = this;
    context.on('console', (message) => {
      if (message.type() === 'error') this.note({ kind: 'console', text: message.text(), url: message.location().url });
    });
    context.on('weberror', (thrown) => {
      this.note({ kind: 'exception', text: String(thrown.error()), url: thrown.page()?.url() ?? '' });
    });
    const crashes = (page: Page) =>
      page.on('crash', () => this.note({ kind: 'crash', text: 'the page has crashed', url: page.url() }));
    context.pages().forEach(crashes);
    context.on('page', crashes);
  }

  protected isForeign({ protocol, origin }: URL): boolean {
    return /^(https?|wss?):$/.test(protocol) && !this.#own.has(origin.replace(/^ws/, 'http'));
  }

  protected note({ kind, text, url }: Noise): void {
    // What the browser says about a request that was blocked is the same news twice.
    if (kind === 'console' && this.#blocked.has(url)) return;
    if (this.noises.length < KEPT) this.noises.push({ kind, text: text.slice(0, TEXT), url });
    else this.dropped++;
  }

  /**
   * Announces a noise that the test is about: a text that is part of it, or a pattern. It fails nothing, and has to come.
   * @throws InvalidArgumentError for an empty text, which every noise has in it
   */
  announce(pattern: string | RegExp): void {
    const source = typeof pattern === 'string' ? RegExp.escape(pattern) : pattern.source;
    if (source === '' || source === '(?:)') throw new InvalidArgumentError('announce: an empty text is in every noise');
    // Without g and y: a pattern that remembers where it stopped would hear every other one.
    const flags = typeof pattern === 'string' ? '' : pattern.flags.replace(/[gy]/g, '');
    this.announced.push({ said: String(pattern), pattern: new RegExp(source, flags), heard: false });
  }

  /** @throws NoisyPageError for what nobody has announced, and for what was announced and never came */
  async verify(): Promise<void> {
    await this.lastWords();
    const loud = this.noises.filter((noise) => {
      const expected = this.announced.filter(({ pattern }) => pattern.test(noise.text));
      for (const each of expected) each.heard = true;
      return expected.length === 0;
    });
    const silent = this.announced.filter(({ heard }) => !heard);
    if (loud.length === 0 && silent.length === 0) return;
    const lines = [
      ...loud.map(({ kind, text, url }) => `${kind}: ${text}${url === '' ? '' : `  (${url})`}`),
      ...silent.map(({ said }) => `announced, and never heard: ${said}`),
      ...(this.dropped > 0 ? [`… and ${this.dropped} more`] : []),
    ];
    throw new NoisyPageError(`the pages were not as quiet as the test says:\n  ${lines.join('\n  ')}`, loud);
  }

  /** An answer of the page comes behind all that it has said before: without it the last error would be missed. */
  protected async lastWords(): Promise<void> {
    const asked = this.context.pages().map((page) => page.evaluate(() => {}).catch(() => {}));
    const patience = new AbortController();
    const limit = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, LAST_WORDS_MS);
      patience.signal.addEventListener('abort', () => clearTimeout(timer));
    });
    await Promise.race([Promise.all(asked), limit]);
    patience.abort();
  }

  /** Lets strangers be asked again. The context may be closed already. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#over = true;
    await this.context.unroute(this.#isForeign).catch(() => {});
  }
}

function originOf(address: string): string {
  const url = URL.parse(address);
  if (url && /^https?:$/.test(url.protocol)) return url.origin;
  throw new InvalidArgumentError(`"${address}" is no http address: say http://host:port`);
}
