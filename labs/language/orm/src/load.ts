// From rows to objects, and from objects to what they are related to.
import type { Database } from './database.ts';
import { InvalidQueryError } from './errors.ts';
import { type ForeignKeyColumn, isForeignKey, type ManyRelation, type ModelMeta } from './meta.ts';
import type { Model } from './model.ts';
import { Many, Ref } from './relation.ts';
import { type Batch, keyOf, metaOf, Stored } from './stored.ts';

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
  const slots = columns.map((column, index) => ({ column, name: column.name, at: shape.at + index }));
  const related = shape.related.map((each) => ({ name: each.column.name, one: shared(each.shape, batch) }));
  return (row) => {
    const object = new entity();
    Stored.setBatch(object, batch);
    // Its columns are exactly the entity's fields, which the decorators have typed.
    const fields = object as Model & Record<string, unknown>;
    for (const { name, at, column } of slots) fields[name] = column.wrap ? column.wrap(row[at], batch) : row[at];
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

/** `a`, `a__b` and `c` as `a` with `b`, and `c`. */
export const byHead = (paths: readonly string[]): [head: string, rest: string[]][] =>
  [...Map.groupBy(paths, (path) => path.split('__')[0] ?? '')].map(([head, own]) => [
    head,
    own.map((path) => path.slice(head.length + 2)).filter((path) => path !== ''),
  ]);

/** Loads relations of many objects by one statement each: `WHERE author_id = ANY(…)`. `books__reviews` goes on from there. */
export async function prefetch(db: Database, objects: readonly Model[], paths: readonly string[]): Promise<void> {
  const [first] = objects;
  if (!first) return;
  const meta = metaOf(first);
  for (const [head, rest] of byHead(paths)) {
    const [many, column] = [meta.many.get(head), meta.fields.get(head)];
    const found = many
      ? await loadMany(db, many, objects)
      : isForeignKey(column)
        ? await loadRefs(db, column, objects)
        : undefined;
    if (!found) throw new InvalidQueryError(`${head} of ${meta.name} is no relation: there is nothing to prefetch.`);
    await prefetch(db, found, rest);
  }
}

/** What refers to the objects. */
async function loadMany(db: Database, { name, source, via }: ManyRelation, objects: readonly Model[]) {
  const query = source()
    .objects(db)
    .filterDynamic({ [`${via}__in`]: objects.map(keyOf) });
  const found = await query.orderDynamic(source().meta.pk.name).all();
  const groups = Map.groupBy(found, (each): unknown => refOf(each, via)?.id);
  for (const object of objects) {
    const items = groups.get(keyOf(object)) ?? [];
    // Each of them also knows whose it is: no query on the way back.
    for (const each of items) refOf(each, via)?.set(object);
    const many: unknown = Reflect.get(object, name);
    if (many instanceof Many) many.set(items);
  }
  return found;
}

/** What the objects refer to. */
async function loadRefs(db: Database, { name, target }: ForeignKeyColumn, objects: readonly Model[]) {
  const refs = objects.map((object) => refOf(object, name)).filter((ref) => ref !== undefined);
  const missing = refs.filter((ref) => !ref.isLoaded);
  const keys = [...new Set(missing.map(({ id }) => id))];
  const which = { [`${target().meta.pk.name}__in`]: keys };
  const found = await target().objects(db).filterDynamic(which).all();
  const byKey = new Map(found.map((each) => [keyOf(each), each]));
  for (const ref of missing) {
    const object = byKey.get(ref.id);
    if (object) ref.set(object);
  }
  return [...new Set(refs.filter(({ isLoaded }) => isLoaded).map(({ value }) => value))];
}

function refOf(object: Model, name: string): Ref<Model> | undefined {
  const value: unknown = Reflect.get(object, name);
  return value instanceof Ref ? value : undefined;
}
