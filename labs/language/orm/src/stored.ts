import type { Database } from './database.ts';
import type { ModelMeta } from './meta.ts';
import type { EntityClass } from './model.ts';

/** Objects that came from one query. Loading a relation one by one on many of them is what N+1 means. */
export interface Batch {
  readonly db: Database;
  readonly size: number;
  readonly loads: Map<string, number>;
}

/** Where an object came from: undefined until it is first saved or loaded. */
export class Stored {
  #batch: Batch | undefined;

  static batchOf(object: Stored): Batch | undefined {
    return object.#batch;
  }
  static setBatch(object: Stored, batch: Batch | undefined): void {
    object.#batch = batch;
  }
}

/** Entities are classes that extend Model, and `constructor` is theirs: the compiler only knows that it's a function. */
export const entityOf = (object: Stored): EntityClass => object.constructor as EntityClass;
export const metaOf = (object: Stored): ModelMeta => entityOf(object).meta;
export const keyOf = (object: Stored): unknown => Reflect.get(object, metaOf(object).pk.name);

/** N+1, caught in the act: one relation, loaded one by one on objects that came from one query. */
export interface RepeatedLoad {
  readonly relation: string;
  /** How many objects the query had. */
  readonly of: number;
  /** Where `load()` was called: `demo.ts:41:20`. */
  readonly at: string;
}

/** The first line of the stack outside of this folder. */
export function callSite(): string {
  const lines = (new Error().stack ?? '').split('\n').slice(1);
  const outside = lines.find((line) => !line.includes(import.meta.dirname) && !line.includes('node:')) ?? '';
  return /(?:file:\/\/)?([^ (]+:\d+:\d+)\)?$/.exec(outside)?.[1] ?? 'an unknown place';
}

/** A process warning. */
export function warn({ relation, of, at }: RepeatedLoad): void {
  const what = `${relation} is loaded one by one at ${at}, on objects of one query (${of} rows)`;
  process.emitWarning(`${what}: add .selectRelated('${relation}') to it.`, 'RepeatedLoadWarning');
}
