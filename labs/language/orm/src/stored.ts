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
