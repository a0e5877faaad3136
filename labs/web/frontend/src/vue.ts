import {
  createApp,
  defineComponent,
  h,
  onMounted,
  onScopeDispose,
  onUnmounted,
  ref,
  type ShallowRef,
  shallowRef,
  useId,
  watch,
} from 'vue';
import { focusOn, keepFocus } from './focus.ts';
import { type Api, nextOf, pieces, type Readable } from './index.ts';
import {
  type Book,
  EMPTY_FORM,
  FIELDS,
  type Field,
  fieldNames,
  messageOf,
  money,
  orderErrors,
  Shop,
  searchStatus,
} from './shop.ts';

// Render functions: the compiler checks them as it checks any TypeScript. A template (.vue) needs vue-tsc for that, or what the
// server renames shows nothing there.

function useReadable<T>({ subscribe, get }: Readable<T>): Readonly<ShallowRef<T>> {
  const value = shallowRef(get());
  const end = subscribe(() => {
    value.value = get();
  });
  onScopeDispose(end);
  return value;
}

const typed = ({ target }: Event): string => (target instanceof HTMLInputElement ? target.value : '');

const button = (text: string, onClick: () => void, label?: string) =>
  h('button', { type: 'button', onClick, 'aria-label': label }, text);

const alert = (...content: readonly ReturnType<typeof h>[]) => h('div', { role: 'alert' }, [...content]);

/** Shows the shop in `element`. @returns what takes it away again */
export function mount(element: Element, api: Api): () => void {
  const app = createApp(ShopPage, { api });
  app.mount(element);
  return () => app.unmount();
}

const ShopPage = defineComponent(
  ({ api }: { readonly api: Api }) => {
    const shop = new Shop(api);
    onMounted(() => shop.search.type('', 0));
    onUnmounted(() => shop.stop());
    const chosen = useReadable(shop.chosen);
    return () => {
      const book = chosen.value;
      return h('main', [
        h('h1', 'Bookshop'),
        h(Books, { shop }),
        book === undefined ? undefined : h(OrderPart, { key: book.isbn, shop, book }),
      ]);
    };
  },
  { name: 'ShopPage', props: ['api'] },
);

const Books = defineComponent(
  ({ shop }: { readonly shop: Shop }) => {
    const search = useReadable(shop.search.state);
    const id = useId();
    const field = ref<HTMLInputElement | null>(null);
    const retry = () => {
      // The button goes with the alert: the keyboard stays at the search.
      field.value?.focus();
      void shop.search.retry();
    };
    return () => {
      const state = search.value;
      return h('section', { 'aria-label': 'Books' }, [
        h('label', { for: id }, 'Search for a title'),
        h('input', {
          ref: field,
          id,
          type: 'search',
          autocomplete: 'off',
          value: state.query,
          onInput: (event: Event) => shop.search.type(typed(event)),
        }),
        h('p', { role: 'status' }, searchStatus(state)),
        state.status === 'failed' ? alert(h('p', messageOf(state.failure)), button('Try again', retry)) : undefined,
        h(
          'ul',
          state.items.map((book) =>
            h('li', { key: book.isbn }, [
              h('span', { class: 'title' }, marked(book.title, state.of)),
              h('span', { class: 'author' }, book.author),
              h('span', { class: 'price' }, money(book.priceCents)),
              button('Order', () => shop.choose(book), `Order ${book.title}`),
            ]),
          ),
        ),
        nextOf(state) === undefined ? undefined : button('More books', () => void shop.search.more()),
      ]);
    };
  },
  { name: 'Books', props: ['shop'] },
);

const marked = (text: string, query: string) =>
  pieces(text, query).map((piece) => h(piece.hit ? 'mark' : 'span', piece.text));

const OrderPart = defineComponent(
  ({ shop, book }: { readonly shop: Shop; readonly book: Book }) => {
    const state = useReadable(shop.order.state);
    const form = shallowRef(EMPTY_FORM);
    const id = useId();
    const part = ref<HTMLElement | null>(null);
    let giveBack = () => {};
    onMounted(() => {
      giveBack = keepFocus();
      focusOn(part.value, state.value.status);
    });
    onUnmounted(() => giveBack());
    watch(state, ({ status }) => focusOn(part.value, status), { flush: 'post' });
    const submit = (event: Event) => {
      event.preventDefault();
      void shop.order.submit({ ...form.value, book });
    };
    const thanks = (text: string) => [
      h('h2', { id, tabindex: -1 }, 'Thank you'),
      h('p', text),
      button('Close', () => shop.choose(undefined)),
    ];
    const field = (name: Field, wrong: string | undefined) => {
      const { label, inputMode, autoComplete } = FIELDS[name];
      return h('div', { key: name }, [
        h('label', { for: `${id}-${name}` }, label),
        h('input', {
          id: `${id}-${name}`,
          inputmode: inputMode,
          autocomplete: autoComplete,
          value: form.value[name],
          'aria-invalid': wrong !== undefined,
          'aria-describedby': wrong === undefined ? undefined : `${id}-${name}-wrong`,
          onInput: (event: Event) => {
            form.value = { ...form.value, [name]: typed(event) };
          },
        }),
        wrong === undefined ? undefined : h('p', { id: `${id}-${name}-wrong`, class: 'wrong' }, wrong),
      ]);
    };
    const asking = () => {
      const { status, failure } = state.value;
      const errors = status === 'failed' ? orderErrors(failure) : undefined;
      const send = status === 'sending' ? 'Sending…' : errors?.fields.size === 0 ? 'Try again' : 'Send the order';
      return [
        h('h2', { id }, `Order ${book.title}`),
        h('form', { novalidate: true, onSubmit: submit }, [
          ...fieldNames.map((name) => field(name, errors?.fields.get(name))),
          errors === undefined || errors.rest.length === 0
            ? undefined
            : alert(...errors.rest.map((text) => h('p', text))),
          h('button', { type: 'submit', 'aria-disabled': status === 'sending' }, send),
          button('Cancel', () => shop.choose(undefined)),
        ]),
      ];
    };
    return () => {
      const { status, result } = state.value;
      const content =
        status === 'sent' && result
          ? thanks(`${book.title}, ${money(result.totalCents)} in all, goes to ${result.deliverTo}.`)
          : asking();
      return h('section', { ref: part, class: 'order', 'aria-labelledby': id }, content);
    };
  },
  { name: 'OrderPart', props: ['shop', 'book'] },
);
