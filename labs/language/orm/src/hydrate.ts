import type { ForeignKeyColumn, ModelMeta } from './meta.ts';
import type { Model } from './model.ts';
import { Ref } from './relation.ts';
import { type Batch, Stored } from './stored.ts';

export type Row = readonly unknown[];

/** Which columns of a row make which object. */
export interface Shape {
  readonly meta: ModelMeta;
  /** Index of the object's first column in the row. */
  readonly at: number;
  readonly related: readonly { readonly column: ForeignKeyColumn; readonly shape: Shape }[];
}

/** Makes an object of each row. Rows with the same key share one object in related positions (100 books, 10 authors). */
export function hydrator(shape: Shape, batch: Batch): (row: Row) => Model {
  const { entity, columns } = shape.meta;
  const slots = columns.map((column, index) => ({
    name: column.name,
    at: shape.at + index,
    column: column.wrap ? column : undefined,
  }));
  const related = shape.related.map((each) => ({ name: each.column.name, one: shared(each.shape, batch) }));
  return (row) => {
    const object = new entity();
    Stored.setBatch(object, batch);
    // Its columns are exactly the entity's fields, which the decorators have typed.
    const fields = object as Model & Record<string, unknown>;
    for (const { name, at, column } of slots) fields[name] = column?.wrap ? column.wrap(row[at], batch) : row[at];
    for (const { name, one } of related) {
      const [ref, other] = [fields[name], one(row)];
      if (ref instanceof Ref && other) ref.set(other);
    }
    return object;
  };
}

function shared(shape: Shape, batch: Batch): (row: Row) => Model | undefined {
  const make = hydrator(shape, batch);
  const key = shape.at + shape.meta.columns.indexOf(shape.meta.pk);
  const seen = new Map<unknown, Model>();
  return (row) => {
    const id = row[key];
    if (id === null) return undefined;
    const object = seen.get(id) ?? make(row);
    seen.set(id, object);
    return object;
  };
}
