import { StringDecoder } from 'node:string_decoder';

/** Anything with Node's `write`: process.stdout, process.stderr. */
export interface WriteTarget {
  write(chunk: string | Uint8Array, ...rest: readonly unknown[]): boolean;
}

type Divert = { readonly sink: (text: string) => void; readonly decoder: StringDecoder };

/** The redirects of each stream, the newest last. */
const diverted = new WeakMap<WriteTarget, Divert[]>();

/**
 * Sends what is written to `stream` to `sink` instead, as text, until it is disposed of. The newest redirect of a
 * stream counts, in whatever order they end. What a sink itself writes to the stream goes to the redirect below, or to
 * the stream.
 *
 * A stream belongs to the whole process: this is for tests and programs, not for one request among many.
 */
export function redirect(stream: WriteTarget, sink: (text: string) => void): Disposable {
  const stack = diverted.get(stream) ?? patch(stream);
  const mine: Divert = { sink, decoder: new StringDecoder('utf8') };
  stack.push(mine);
  return {
    [Symbol.dispose]() {
      const at = stack.indexOf(mine);
      if (at >= 0) stack.splice(at, 1);
      if (stack.length === 0) unpatch.get(stack)?.();
    },
  };
}

const unpatch = new WeakMap<Divert[], () => void>();

/** One `write` for all redirects of the stream. */
function patch(stream: WriteTarget): Divert[] {
  const stack: Divert[] = [];
  const own = Object.getOwnPropertyDescriptor(stream, 'write');
  const original = stream.write;
  let below: number | undefined;
  const write: WriteTarget['write'] = (chunk, ...rest) => {
    const before = below;
    const at = (before ?? stack.length) - 1;
    const top = stack[at];
    if (!top) return Reflect.apply(original, stream, [chunk, ...rest]);
    const text = top.decoder.write(bytes(chunk, rest[0]));
    below = at;
    try {
      if (text !== '') top.sink(text);
    } finally {
      below = before;
    }
    const done = rest.findLast((arg) => typeof arg === 'function');
    if (typeof done === 'function') process.nextTick(() => Reflect.apply(done, undefined, []));
    return true;
  };
  unpatch.set(stack, () => {
    // Somebody patched it after us: then ours stays below theirs, and passes on.
    if (stream.write !== write) return;
    diverted.delete(stream);
    if (own) Object.defineProperty(stream, 'write', own);
    else Reflect.deleteProperty(stream, 'write');
  });
  diverted.set(stream, stack);
  stream.write = write;
  return stack;
}

const bytes = (chunk: string | Uint8Array, encoding: unknown): Buffer => {
  if (typeof chunk !== 'string') return Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  return Buffer.from(chunk, typeof encoding === 'string' && Buffer.isEncoding(encoding) ? encoding : 'utf8');
};
