import { type KubernetesObject, Watch } from '@kubernetes/client-node';
import { refuseNoTime, rest, systemClock, unharmedBy } from './clock.ts';
import type { Cluster, Source } from './cluster.ts';

export interface InformerOptions {
  /** Milliseconds that one watch lives: a connection that died without a word is noticed by then. Default 60,000. */
  readonly watchMs?: number;
  /** Milliseconds between two attempts to reach the API server, and between the beginnings of two watches. Default 500. */
  readonly retryMs?: number;
  /** Hears why a watch or a list failed; the informer goes on by itself. What it throws is ignored. */
  readonly onError?: (error: unknown) => void;
}

/** Hears of an object that is new, changed or gone. `before` is what was known of it. */
export type OnChange<T> = (now: T | undefined, before: T | undefined) => void;

/**
 * A copy of the objects of a kind, kept by a list and a watch from there on. A watch that breaks is taken up where it was; if
 * the API server has forgotten that place (410), the list is read again, and what is no longer in it is reported as gone.
 */
export class Informer<T extends KubernetesObject = KubernetesObject> implements AsyncDisposable {
  protected readonly cluster: Cluster;
  readonly source: Source;
  protected readonly options: Required<InformerOptions>;
  protected readonly cache = new Map<string, T>();
  protected readonly stop = new AbortController();
  readonly #onChange: OnChange<T>;
  readonly #first = Promise.withResolvers<void>();
  readonly #running: Promise<void>;

  /** @throws InvalidArgumentError for a time that is none */
  constructor(cluster: Cluster, source: Source, onChange: OnChange<T>, options: InformerOptions = {}) {
    this.cluster = cluster;
    this.source = source;
    const onError = unharmedBy(options.onError ?? (() => {}));
    this.options = { watchMs: 60_000, retryMs: 500, ...options, onError };
    const { watchMs, retryMs } = this.options;
    refuseNoTime({ watchMs, retryMs });
    this.#onChange = onChange;
    this.#running = this.#run();
  }

  /** Resolves once the first list is here: before that the cache says of everything that it isn't there. */
  get synced(): Promise<void> {
    return this.#first.promise;
  }

  /** As of the last event; it may be a moment old. Not to be changed. */
  get(key: string): T | undefined {
    return this.cache.get(key);
  }

  get objects(): readonly T[] {
    return [...this.cache.values()];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.stop.abort();
    this.#first.resolve();
    await this.#running;
  }

  async #run(): Promise<void> {
    let version: string | undefined;
    while (!this.stop.signal.aborted) {
      try {
        version ??= await this.relist();
        this.#first.resolve();
        const begun = performance.now();
        version = await this.watch(version);
        // One that ends as it begins, without an error, is not begun again as fast as it ends.
        await rest(begun + this.options.retryMs - performance.now(), this.stop.signal);
      } catch (error) {
        if (this.stop.signal.aborted) return;
        this.options.onError(error);
        if (isExpired(error)) version = undefined;
        await rest(this.options.retryMs, this.stop.signal);
      }
    }
  }

  /** Makes the cache what the API server has. @returns the version of that list */
  protected async relist(): Promise<string> {
    const { apiVersion, kind, namespace } = this.source;
    const { items, metadata } = await this.cluster.list<T>(apiVersion, kind, namespace);
    const listed = new Set(items.map((item) => keyOf(item)));
    for (const [key] of this.cache) if (!listed.has(key)) this.forget(key);
    for (const item of items) this.learn({ ...item, apiVersion, kind });
    return metadata?.resourceVersion ?? '';
  }

  /** Follows the changes since `from`, for `watchMs` at most. @returns the version of the last one */
  protected async watch(from: string): Promise<string> {
    const limit = new AbortController();
    const cancel = systemClock.after(this.options.watchMs, () => limit.abort());
    try {
      return await this.follow(from, limit.signal);
    } finally {
      cancel();
    }
  }

  /** Follows the changes until the connection, the signal or the informer ends. @returns the version of the last one */
  protected async follow(from: string, signal: AbortSignal): Promise<string> {
    const path = await this.cluster.pathOf(this.source);
    let version = from;
    let over = false;
    const { promise: ended, resolve, reject } = Promise.withResolvers<void>();
    const end = () => resolve();
    for (const each of [signal, this.stop.signal]) {
      each.addEventListener('abort', end, { once: true });
      if (each.aborted) end();
    }
    const timeoutSeconds = Math.max(1, Math.floor(this.options.watchMs / 1000));
    const query = { resourceVersion: from, allowWatchBookmarks: true, timeoutSeconds };
    const opening = new Watch(this.cluster.config).watch(
      path,
      query,
      (type, object) => {
        // A connection that is being closed may say more, and the next one has said it already.
        if (over) return;
        if (type === 'ERROR') return reject(new WatchError(object));
        version = object.metadata.resourceVersion;
        if (type === 'DELETED') this.forget(keyOf(object));
        else if (type !== 'BOOKMARK') this.learn(object);
      },
      (error: unknown) => (error instanceof Error && error.name !== 'AbortError' ? reject(error) : resolve()),
    );
    // Credentials that cannot be had, as from a program or a file.
    opening.catch(reject);
    try {
      await ended;
      return version;
    } catch (error) {
      // What has been heard is in the cache, and the next watch begins there, unless the API server has forgotten the place.
      if (isExpired(error)) throw error;
      this.options.onError(error);
      await rest(this.options.retryMs, this.stop.signal);
      return version;
    } finally {
      over = true;
      for (const each of [signal, this.stop.signal]) each.removeEventListener('abort', end);
      void opening.then(
        (request) => request.abort(),
        () => {},
      );
    }
  }

  protected learn(object: T): void {
    const key = keyOf(object);
    const before = this.cache.get(key);
    if (
      before?.metadata?.uid === object.metadata?.uid &&
      before?.metadata?.resourceVersion === object.metadata?.resourceVersion
    )
      return;
    this.cache.set(key, object);
    this.#tell(object, before);
  }

  protected forget(key: string): void {
    const before = this.cache.get(key);
    this.cache.delete(key);
    if (before !== undefined) this.#tell(undefined, before);
  }

  /** A listener that throws shall not stop the news, nor be swallowed by the connection they came on. */
  #tell(now: T | undefined, before: T | undefined): void {
    if (this.stop.signal.aborted) return;
    try {
      this.#onChange(now, before);
    } catch (error) {
      this.options.onError(error);
    }
  }
}

/** The API server has ended the watch, and says why. */
class WatchError extends Error {
  readonly statusCode: number | undefined;

  constructor(status: { readonly code?: number; readonly message?: string }) {
    super(status.message ?? 'the watch was ended by the API server');
    this.statusCode = status.code;
  }
}

/** "The version from which you want to go on is too old": 410, as an event or as an answer. */
const isExpired = (error: unknown) => error instanceof Error && 'statusCode' in error && error.statusCode === 410;

/** `namespace/name`, or `name` for what is in no namespace. */
export const keyOf = ({ metadata }: KubernetesObject): string =>
  metadata?.namespace === undefined ? (metadata?.name ?? '') : `${metadata.namespace}/${metadata.name}`;
