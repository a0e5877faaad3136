// From rows to objects, and from objects to what they are related to.
import type { Compiler, Scope } from './compiler.ts';
import type { Database, Row } from './database.ts';
import { InvalidQueryError } from './errors.ts';
import { type Batch, Column, keyOf, type ManyRelation, type ModelMeta, Stored } from './meta.ts';
import type { Model } from './model.ts';
import { foreignKey, KeyColumn, Ref } from './relation.ts';

/** Makes an object of a row, none where a join found none. Rows with the same key share it (100 books, 10 authors). */
type Reader = (row: Row, batch: Batch) => Model | undefined;

/** Selects the columns of `at`, and of what is to be joined to it. */
export function reader(compiler: Compiler, at: Scope, paths: readonly string[], select: string[]): Reader {
  const { entity, columns, pk } = at.meta;
  const first = select.length;
  select.push(...columns.map((column) => compiler.columnSql(at, column)));
  const slots = columns.map((column, index) => ({ column, name: column.name, at: first + index }));
  const joined = byHead(paths).map(([name, rest]) => {
    const column = at.meta.column(name);
    if (!(column instanceof KeyColumn))
      throw new InvalidQueryError(`selectRelated follows foreign keys; ${name} is none.`);
    return { name, read: reader(compiler, compiler.join(at, column), rest, select) };
  });
  const key = first + columns.indexOf(pk);
  const made = new Map<unknown, Model>();
  return (row, batch) => {
    const known = made.get(row[key]);
    if (known || row[key] === null) return known;
    const object = new entity();
    made.set(row[key], object);
    Stored.setBatch(object, batch, row[key]);
    // Its columns are exactly the entity's fields, which the decorators have typed.
    const fields = object as Model & Record<string, unknown>;
    for (const { name, at, column } of slots) fields[name] = column.wrap ? column.wrap(row[at], object) : row[at];
    for (const { name, read } of joined) refOf(object, name)?.set(read(row, batch));
    return object;
  };
}

/** `a`, `a__b` and `c` as `a` with `b`, and `c`. */
const byHead = (paths: readonly string[]): [head: string, rest: string[]][] =>
  [...Map.groupBy(paths, (path) => path.split('__')[0] ?? '')].map(([head, own]) => [
    head,
    own.map((path) => path.slice(head.length + 2)).filter((path) => path !== ''),
  ]);

/** Loads relations of many objects by one statement each: `WHERE author_id = ANY(…)`. `books__reviews` goes on from there. */
export async function prefetch(db: Database, meta: ModelMeta, objects: readonly Model[], paths: readonly string[]) {
  for (const [head, rest] of byHead(paths)) {
    const relation = meta.properties.get(head);
    if (!relation || (relation instanceof Column && !(relation instanceof KeyColumn)))
      throw new InvalidQueryError(`${head} of ${meta.entity.name} is no relation: there is nothing to prefetch.`);
    const isKey = relation instanceof KeyColumn;
    const found = await (isKey ? loadRefs(db, relation, objects) : loadMany(db, meta, relation, objects));
    await prefetch(db, (isKey ? relation.target() : relation.source()).meta, found, rest);
  }
}

/** What refers to the objects. */
async function loadMany(db: Database, meta: ModelMeta, relation: ManyRelation, objects: readonly Model[]) {
  const { name, source } = relation;
  const via = foreignKey(relation, meta).name;
  // A way back leads to objects that have theirs, with what other paths have loaded on them.
  const without = objects.filter((object) => !Object.hasOwn(object, name));
  const which = { [`${via}__in`]: without.map(keyOf) };
  const found = await source().objects(db).filterDynamic(which).orderDynamic(source().meta.pk.name).all();
  const groups = Map.groupBy(found, (each): unknown => refOf(each, via)?.id);
  for (const object of without) {
    const items = groups.get(keyOf(object)) ?? [];
    // Each of them also knows whose it is: no query on the way back.
    for (const each of items) refOf(each, via)?.set(object);
    Object.defineProperty(object, name, { value: items, configurable: true });
  }
  return [...new Set(objects.flatMap((object): readonly Model[] => Reflect.get(object, name)))];
}

/** What the objects refer to. */
async function loadRefs(db: Database, { name, target }: KeyColumn, objects: readonly Model[]) {
  const refs = objects.map((object) => refOf(object, name)).filter((ref) => ref !== undefined);
  const missing = refs.filter((ref) => !ref.isLoaded);
  const keys = [...new Set(missing.map(({ id }) => id))];
  const which = { [`${target().meta.pk.name}__in`]: keys };
  const found = await target().objects(db).filterDynamic(which).all();
  const byKey = new Map(found.map((each) => [keyOf(each), each]));
  for (const ref of missing) ref.set(byKey.get(ref.id));
  return [...new Set(refs.filter(({ isLoaded }) => isLoaded).map(({ value }) => value))];
}

function refOf(object: Model, name: string): Ref<Model> | undefined {
  const value: unknown = Reflect.get(object, name);
  return value instanceof Ref ? value : undefined;
}
