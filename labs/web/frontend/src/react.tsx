import { type FormEvent, StrictMode, useEffect, useId, useRef, useState, useSyncExternalStore } from 'react';
import { createRoot } from 'react-dom/client';
import { focusOn, keepFocus } from './focus.ts';
import { type Api, nextOf, pieces, type Readable } from './index.ts';
import {
  type Book,
  EMPTY_FORM,
  FIELDS,
  fieldNames,
  messageOf,
  money,
  orderErrors,
  Shop,
  searchStatus,
} from './shop.ts';

const useReadable = <T,>({ subscribe, get }: Readable<T>): T => useSyncExternalStore(subscribe, get, get);

/** Shows the shop in `element`. @returns what takes it away again */
export function mount(element: Element, api: Api): () => void {
  const root = createRoot(element);
  root.render(
    <StrictMode>
      <ShopPage api={api} />
    </StrictMode>,
  );
  return () => root.unmount();
}

function ShopPage({ api }: { readonly api: Api }) {
  const [shop] = useState(() => new Shop(api));
  useEffect(() => {
    shop.search.type('', 0);
    return () => shop.stop();
  }, [shop]);
  const chosen = useReadable(shop.chosen);
  return (
    <main>
      <h1>Bookshop</h1>
      <Books shop={shop} />
      {chosen && <OrderPart key={chosen.isbn} shop={shop} book={chosen} />}
    </main>
  );
}

function Books({ shop }: { readonly shop: Shop }) {
  const state = useReadable(shop.search.state);
  const id = useId();
  const field = useRef<HTMLInputElement>(null);
  const retry = () => {
    // The button goes with the alert: the keyboard stays at the search.
    field.current?.focus();
    void shop.search.retry();
  };
  return (
    <section aria-label="Books">
      <label htmlFor={id}>Search for a title</label>
      <input
        ref={field}
        id={id}
        type="search"
        autoComplete="off"
        value={state.query}
        onChange={({ target }) => shop.search.type(target.value)}
      />
      <p role="status">{searchStatus(state)}</p>
      {state.status === 'failed' && (
        <div role="alert">
          <p>{messageOf(state.failure)}</p>
          <button type="button" onClick={retry}>
            Try again
          </button>
        </div>
      )}
      <ul>
        {state.items.map((book) => (
          <li key={book.isbn}>
            <span className="title">
              <Marked text={book.title} query={state.of} />
            </span>
            <span className="author">{book.author}</span>
            <span className="price">{money(book.priceCents)}</span>
            <button type="button" aria-label={`Order ${book.title}`} onClick={() => shop.choose(book)}>
              Order
            </button>
          </li>
        ))}
      </ul>
      {nextOf(state) !== undefined && (
        <button type="button" onClick={() => void shop.search.more()}>
          More books
        </button>
      )}
    </section>
  );
}

function Marked({ text, query }: { readonly text: string; readonly query: string }) {
  // A piece has no other name than its place.
  return pieces(text, query).map((piece, place) =>
    piece.hit ? <mark key={`${place}`}>{piece.text}</mark> : <span key={`${place}`}>{piece.text}</span>,
  );
}

function OrderPart({ shop, book }: { readonly shop: Shop; readonly book: Book }) {
  const { status, result, failure } = useReadable(shop.order.state);
  const [form, setForm] = useState(EMPTY_FORM);
  const id = useId();
  const part = useRef<HTMLElement>(null);
  useEffect(keepFocus, []);
  useEffect(() => focusOn(part.current, status), [status]);
  if (status === 'sent' && result) {
    return (
      <section ref={part} className="order" aria-labelledby={id}>
        <h2 id={id} tabIndex={-1}>
          Thank you
        </h2>
        <p>
          {book.title}, {money(result.totalCents)} in all, goes to {result.deliverTo}.
        </p>
        <button type="button" onClick={() => shop.choose(undefined)}>
          Close
        </button>
      </section>
    );
  }
  const errors = status === 'failed' ? orderErrors(failure) : undefined;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    void shop.order.submit({ ...form, book });
  };
  return (
    <section ref={part} className="order" aria-labelledby={id}>
      <h2 id={id}>Order {book.title}</h2>
      <form noValidate onSubmit={submit}>
        {fieldNames.map((name) => {
          const { label, inputMode, autoComplete } = FIELDS[name];
          const wrong = errors?.fields.get(name);
          return (
            <div key={name}>
              <label htmlFor={`${id}-${name}`}>{label}</label>
              <input
                id={`${id}-${name}`}
                inputMode={inputMode}
                autoComplete={autoComplete}
                value={form[name]}
                aria-invalid={wrong !== undefined}
                aria-describedby={wrong === undefined ? undefined : `${id}-${name}-wrong`}
                onChange={({ target }) => setForm({ ...form, [name]: target.value })}
              />
              {wrong !== undefined && (
                <p id={`${id}-${name}-wrong`} className="wrong">
                  {wrong}
                </p>
              )}
            </div>
          );
        })}
        {errors && errors.rest.length > 0 && (
          <div role="alert">
            {errors.rest.map((text, place) => (
              <p key={`${place}`}>{text}</p>
            ))}
          </div>
        )}
        <button type="submit" aria-disabled={status === 'sending'}>
          {status === 'sending' ? 'Sending…' : errors?.fields.size === 0 ? 'Try again' : 'Send the order'}
        </button>
        <button type="button" onClick={() => shop.choose(undefined)}>
          Cancel
        </button>
      </form>
    </section>
  );
}
