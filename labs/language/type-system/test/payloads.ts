/** A sign-up as it should be. */
export const good = {
  id: 7,
  email: 'alice@example.org',
  nickname: 'Al',
  age: 0,
  newsletter: false,
  address: { city: 'Köln' },
};

const deep = (depth: number): unknown => (depth === 0 ? 'bottom' : { city: deep(depth - 1) });

/** Twelve that are wrong, and where. */
export const bad: Readonly<Record<string, { readonly input: unknown; readonly at: string }>> = {
  'an id that is a text': { input: { ...good, id: '7' }, at: 'id' },
  'an id beyond what a number holds exactly': { input: { ...good, id: 2 ** 53 }, at: 'id' },
  'an age that is no number': { input: { ...good, age: Number.NaN }, at: 'age' },
  'an address without an @': { input: { ...good, email: 'alice' }, at: 'email' },
  'an empty nickname': { input: { ...good, nickname: '' }, at: 'nickname' },
  'a nickname that is undefined': { input: { ...good, nickname: undefined }, at: 'nickname' },
  'half an emoji for a name': { input: { ...good, nickname: 'Al\ud83d' }, at: 'nickname' },
  'the text "false"': { input: { ...good, newsletter: 'false' }, at: 'newsletter' },
  'a misspelt key': { input: { ...good, newsleter: true }, at: '' },
  'a key called __proto__': {
    input: JSON.parse(`{"__proto__": {"admin": true}, ${JSON.stringify(good).slice(1)}`),
    at: '',
  },
  'a bomb of a thousand layers': { input: { ...good, address: deep(1_000) }, at: 'address.city' },
  'nothing at all': { input: null, at: '' },
};
