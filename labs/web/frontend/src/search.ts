import { type Readable, type Store, store } from './store.ts';

/** A part of a list, and where the next begins. */
export interface Found<Item> {
  readonly items: readonly Item[];
  readonly next: string | undefined;
}

export interface SearchState<Item> extends Found<Item> {
  /** What stands in the field. */
  readonly query: string;
  readonly status: 'idle' | 'searching' | 'found' | 'failed';
  /** Whose items these are. */
  readonly of: string;
  readonly failure: unknown;
}

export interface SearchOptions<Item> {
  /** Asks the server. `cursor` is the `next` of the page before. It may ignore the signal. */
  readonly find: (query: string, cursor: string | undefined, signal: AbortSignal) => Promise<Found<Item>>;
  /** Milliseconds of rest after a key before the server is asked. Default 150. */
  readonly restMs?: number;
}

/** A field that is searched while one types. Answers come in any order: only the one to the last question is shown. */
export class Search<Item> {
  protected readonly options: SearchOptions<Item>;
  readonly #state: Store<SearchState<Item>>;
  /** Of the question that is under way. Its signal is also its name: an answer is good while it hasn't been aborted. */
  #asking = new AbortController();
  /** Where the page begins that was asked for last. */
  protected cursor: string | undefined;

  constructor(options: SearchOptions<Item>) {
    this.options = options;
    this.#state = store<SearchState<Item>>({
      query: '',
      status: 'idle',
      of: '',
      items: [],
      next: undefined,
      failure: undefined,
    });
  }

  get state(): Readable<SearchState<Item>> {
    return this.#state;
  }

  /** What the field says now. @param restMs default: that of the options; 0 for what nobody types, the list at the beginning */
  type(query: string, restMs = this.options.restMs ?? 150): void {
    const signal = this.anew();
    this.patch({ query, status: 'searching', failure: undefined });
    const timer = setTimeout(() => void this.ask(undefined, signal), restMs);
    signal.addEventListener('abort', () => clearTimeout(timer), { once: true });
  }

  /**
   * The next page of what is shown. Does nothing while a question is under way, where there is no next page, or where the field
   * says something else by now than what is shown.
   */
  async more(): Promise<void> {
    const { status } = this.#state.get();
    const next = nextOf(this.#state.get());
    if (next === undefined || status === 'searching') return;
    this.patch({ status: 'searching', failure: undefined });
    await this.ask(next, this.anew());
  }

  /** Asks what has failed again, and at once. */
  async retry(): Promise<void> {
    if (this.#state.get().status !== 'failed') return;
    this.patch({ status: 'searching', failure: undefined });
    await this.ask(this.cursor, this.anew());
  }

  /** Ends what is under way: nobody is told of its answer. What is asked later is answered again. */
  stop(): void {
    this.#asking.abort();
    if (this.#state.get().status === 'searching') this.patch({ status: 'idle' });
  }

  /** Ends the question before. @returns the signal of the next */
  protected anew(): AbortSignal {
    this.#asking.abort();
    this.#asking = new AbortController();
    return this.#asking.signal;
  }

  protected async ask(cursor: string | undefined, signal: AbortSignal): Promise<void> {
    const { query, items } = this.#state.get();
    this.cursor = cursor;
    try {
      const found = await this.options.find(query, cursor, signal);
      if (signal.aborted) return;
      const all = cursor === undefined ? found.items : [...items, ...found.items];
      this.patch({ status: 'found', of: query, items: all, next: found.next });
    } catch (failure) {
      if (!signal.aborted) this.patch({ status: 'failed', failure });
    }
  }

  protected patch(change: Partial<SearchState<Item>>): void {
    this.#state.set({ ...this.#state.get(), ...change });
  }
}

/** Where the next page begins of what the field says; undefined where the list is of another question, whose answer failed. */
export const nextOf = <Item>({ next, of, query }: SearchState<Item>): string | undefined =>
  of === query ? next : undefined;
