// Node has no Symbol.metadata yet. Without it the compiler's output gives a class no metadata: it must be there before
// the first decorated class. Symbol.for is what esbuild falls back to, so both agree.
if (Symbol.metadata === undefined) {
  Object.defineProperty(Symbol, 'metadata', { value: Symbol.for('Symbol.metadata') });
}

/** The object that all decorators of a class share as `context.metadata`; its prototype is that of the parent class. */
export function metadataOf(type: object): object | undefined {
  const parent: object | null = Object.getPrototypeOf(type);
  const inherited = parent === null ? undefined : metadataOf(parent);
  const metadata: unknown = Object.hasOwn(type, Symbol.metadata) ? Reflect.get(type, Symbol.metadata) : inherited;
  if (typeof metadata !== 'object' || metadata === null) return undefined;
  // SWC leaves it without the prototype.
  if (inherited && Object.getPrototypeOf(metadata) === null) Reflect.setPrototypeOf(metadata, inherited);
  return metadata;
}
