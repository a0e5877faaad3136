// Node has no Symbol.metadata yet. Without it the compiler's output gives a class no metadata: it must be there before
// the first decorated class. Symbol.for is what esbuild falls back to, so both agree.
if (Symbol.metadata === undefined) {
  Object.defineProperty(Symbol, 'metadata', { value: Symbol.for('Symbol.metadata') });
}

/** The object that all decorators of a class share as `context.metadata`; its prototype is that of the parent class. */
export function metadataOf(type: object): object | undefined {
  const metadata: unknown = Reflect.get(type, Symbol.metadata);
  return typeof metadata === 'object' && metadata !== null ? metadata : undefined;
}
