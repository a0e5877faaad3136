/** A text that is no whole number, or bytes that are no UTF-8. */
export class ParseError extends Error {
  override readonly name = 'ParseError';
}

/**
 * The roadmap's overloads: a text becomes a number, bytes become a text.
 *
 * No compiler compares the body with each overload on its own: one that returned the text for a text would pass, in mypy
 * and in tsc (seen in both). What each line promises is kept here by hand, and proved by a law.
 *
 * @throws ParseError on a text that isn't a decimal whole number in the safe range, written as JavaScript writes it, and
 *   on bytes that aren't UTF-8.
 */
export function parse(input: string): number;
export function parse(input: Uint8Array): string;
export function parse(input: string | Uint8Array): number | string {
  if (typeof input === 'string') return whole(input);
  // Called from JavaScript: of undefined, the decoder makes an empty text.
  if (!ArrayBuffer.isView(input)) throw new ParseError(`neither a text nor bytes: ${typeof input}`);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(input);
  } catch (cause) {
    throw new ParseError(`${input.length} bytes are no UTF-8`, { cause });
  }
}

function whole(text: string): number {
  const value = Number(text);
  // `Number` also takes '', ' 7', '0x10' and '1e3', and rounds what is too long: what comes out must be what came in.
  if (Number.isSafeInteger(value) && String(value) === text) return value;
  throw new ParseError(`${JSON.stringify(text.slice(0, 40))} is no whole number`);
}
