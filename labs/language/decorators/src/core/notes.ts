/**
 * What decorators noted of one class, for each member. Every class has a map of its own: a note that lands in the
 * parent's would be every sibling's too.
 */
export class Notes<T> {
  readonly #notes = new WeakMap<object, Map<string | symbol, readonly T[]>>();

  /** Notes above those of the decorators below it. `owner` stands for the class: one object for each. */
  add(owner: object, member: string | symbol, note: T): void {
    const own = this.#notes.get(owner) ?? new Map<string | symbol, readonly T[]>();
    own.set(member, [note, ...(own.get(member) ?? [])]);
    this.#notes.set(owner, own);
  }

  /** Noted for the member in this very class. */
  own(owner: object, member: string | symbol): readonly T[] {
    return this.#notes.get(owner)?.get(member) ?? [];
  }

  /** All that holds for the class: its own notes and, for members that it notes nothing of, those of its ancestors. */
  all(owner: unknown): ReadonlyMap<string | symbol, readonly T[]> {
    const found = new Map<string | symbol, readonly T[]>();
    for (const at of chain(owner)) {
      for (const [member, notes] of this.#notes.get(at) ?? []) {
        if (!found.has(member)) found.set(member, notes);
      }
    }
    return found;
  }
}

/** The object and its prototypes, itself first; nothing of what is no object. */
export function* chain(start: unknown): Generator<object> {
  for (let at = start; typeof at === 'object' && at !== null; at = Object.getPrototypeOf(at)) yield at;
}
