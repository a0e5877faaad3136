import type { components } from './contract.gen.ts';
import {
  type Api,
  ApiError,
  dataOf,
  type FieldErrors,
  fieldErrors,
  ProblemError,
  Search,
  type SearchState,
  type Store,
  Submission,
  store,
} from './index.ts';

export type Book = components['schemas']['Book'];
export type Order = components['schemas']['Order'];

/** What the form of an order asks for, and where in the request each is. */
export const FIELDS = {
  copies: { label: 'Copies', pointer: '/lines/0/quantity', inputMode: 'numeric', autoComplete: 'off' },
  deliverTo: { label: 'Name and address', pointer: '/deliverTo', inputMode: 'text', autoComplete: 'street-address' },
  note: { label: 'For the card (optional)', pointer: '/note', inputMode: 'text', autoComplete: 'off' },
} as const;
export type Field = keyof typeof FIELDS;
export const fieldNames: readonly Field[] = ['copies', 'deliverTo', 'note'];

/** As it was typed. */
export type OrderForm = Readonly<Record<Field, string>>;
export const EMPTY_FORM: OrderForm = { copies: '1', deliverTo: '', note: '' };

/** A customer's side of the order desk, without a word of how it is shown. */
export class Shop {
  readonly search: Search<Book>;
  readonly order: Submission<OrderForm & { readonly book: Book }, Order>;
  /** The book that is being ordered. */
  readonly chosen: Store<Book | undefined> = store<Book | undefined>(undefined);

  constructor(api: Api) {
    this.search = new Search({
      find: async (q, cursor, signal) => {
        // Half a surrogate pair, as a hand in the middle of an emoji leaves it, is in no URL.
        const wanted = q.trim().toWellFormed();
        const query = { ...(wanted !== '' && { q: wanted }), ...(cursor !== undefined && { cursor }) };
        const page = await dataOf(api.GET('/books', { params: { query }, signal }));
        return { items: page.books, next: page.cursor ?? undefined };
      },
    });
    this.order = new Submission({
      send: ({ book, copies, deliverTo, note }, key, signal) => {
        const params = { header: { 'idempotency-key': key } };
        const lines = [{ isbn: book.isbn, quantity: wholeNumber(copies) }];
        return dataOf(api.POST('/orders', { params, body: { lines, deliverTo, note }, signal }));
      },
    });
  }

  choose(book: Book | undefined): void {
    this.order.stop();
    this.chosen.set(book);
  }

  /** Ends what is under way. The page may come back: React's StrictMode mounts all twice. */
  stop(): void {
    this.search.stop();
    this.order.stop();
  }
}

/** What isn't one is sent as null, and the server says at its field what is wrong with that. */
const wholeNumber = (text: string): number => (/^\d{1,9}$/.test(text.trim()) ? Number(text) : Number.NaN);

const POINTERS = { copies: FIELDS.copies.pointer, deliverTo: FIELDS.deliverTo.pointer, note: FIELDS.note.pointer };

/** What the form says about an order that failed. */
export function orderErrors(failure: unknown): FieldErrors {
  const refused = failure instanceof ProblemError && failure.problem.errors.length > 0;
  return refused ? fieldErrors(failure, POINTERS) : { fields: new Map(), rest: [messageOf(failure)] };
}

/** A failure in the words of the page. */
export function messageOf(failure: unknown): string {
  if (failure instanceof ProblemError && failure.problem.type === 'tag:bookshop.example,2026:key-used-before') {
    return 'Your order from before has arrived. This one was not sent: send it again if you want both.';
  }
  if (failure instanceof ApiError) return failure.message;
  return 'This page has made a mistake: load it again.';
}

/** `1250` is €12.50. */
export const money = (cents: number): string => euros.format(cents / 100);

const euros = new Intl.NumberFormat('en', { style: 'currency', currency: 'EUR' });

/** What the search says above its list. */
export function searchStatus({ status, of, items, next }: SearchState<Book>): string {
  if (status === 'searching') return 'Searching…';
  if (status !== 'found') return '';
  const count = `${items.length}${next === undefined ? '' : ' or more'}`;
  const books = items.length === 1 && next === undefined ? 'book' : 'books';
  return of.trim() === '' ? `${count} ${books}` : `${count} ${books} for “${of.trim()}”`;
}
