import type { FieldExpression } from './expression.ts';
import type { Model } from './model.ts';

// What the compiler knows of an entity follows from its class alone: a wrong key, lookup or value doesn't compile.

/** The type of the primary key, where its property is named `id`. */
export type PkOf<M> = M extends { id: infer P } ? P : string | number;
type Own<M> = Exclude<keyof M & string, keyof Model>;
type Present<V> = Exclude<V, null | undefined>;
type Method = (...args: never) => unknown;

// Told by their members, not by `extends Ref<Model>`: entities that refer to each other would make that circular.
interface RefLike {
  readonly isLoaded: boolean;
  readonly value: unknown;
}
interface ManyLike {
  readonly items: readonly unknown[];
}
type RefTarget<V> = Present<V> extends RefLike ? Present<V>['value'] : never;
type ManyTarget<V> = Present<V> extends ManyLike ? Present<V>['items'][number] : never;
/** The names of an entity's foreign keys. */
export type RefKey<M> = { [K in Own<M>]: Present<M[K]> extends RefLike ? K : never }[Own<M>];
/** The names of its reverse relations. */
type ManyKey<M> = { [K in Own<M>]: Present<M[K]> extends ManyLike ? K : never }[Own<M>];
/** The names of its plain columns. */
type FieldKey<M> = {
  [K in Own<M>]: Present<M[K]> extends Method | RefLike | ManyLike ? never : K;
}[Own<M>];

type Textual = 'contains' | 'icontains' | 'startswith' | 'endswith';
type Lookup<V> =
  | 'in'
  | 'isnull'
  | (V extends string ? Textual : never)
  | (V extends string | number | Date ? 'gt' | 'gte' | 'lt' | 'lte' : never);
type LookupValue<V, L> = L extends 'in'
  ? readonly Present<V>[]
  : L extends 'isnull'
    ? boolean
    : L extends Textual
      ? string
      : Present<V>;

/** A foreign key is compared to an object, a reference or a key. */
type RefValue<V> = RefTarget<V> | Present<V> | PkOf<RefTarget<V>> | Extract<V, null>;

/** How many relations a path may cross. Each makes the compiler's work several times larger. */
type Hops = [1, 1];

type Paths<M, D extends 1[]> =
  | { [K in FieldKey<M>]: K | `${K}__${Lookup<Present<M[K]>>}` }[FieldKey<M>]
  | { [K in RefKey<M>]: K | `${K}__${'in' | 'isnull'}` }[RefKey<M>]
  | { [K in ManyKey<M>]: K | `${K}__isnull` }[ManyKey<M>]
  | (D extends [1, ...infer R extends 1[]]
      ? { [K in RefKey<M> | ManyKey<M>]: `${K}__${Paths<RefTarget<M[K]> | ManyTarget<M[K]>, R>}` }[
          | RefKey<M>
          | ManyKey<M>]
      : never);
type PathValue<M, P> =
  P extends FieldKey<M>
    ? M[P & keyof M]
    : P extends RefKey<M>
      ? RefValue<M[P & keyof M]>
      : P extends `${infer H}__${infer T}`
        ? H extends FieldKey<M>
          ? LookupValue<M[H & keyof M], T>
          : H extends keyof M
            ? RefLookup<M[H], T>
            : never
        : never;
type RefLookup<V, T> = T extends 'isnull'
  ? boolean
  : T extends 'in'
    ? readonly Present<RefValue<V>>[]
    : PathValue<RefTarget<V> | ManyTarget<V>, T>;

/** Conditions on `M`, all of which must hold: fields, lookups like `age__gte`, and paths like `author__name__icontains`. */
export type Where<M> = { readonly [P in Paths<M, Hops>]?: PathValue<M, P> } & NoObject;
/** What has one of these is an object, a reference, a query or a promise: no condition, though its `id` may look like one. */
interface NoObject {
  readonly save?: never;
  readonly isLoaded?: never;
  readonly toSql?: never;
  readonly then?: never;
}
type Step<M, End> = RefKey<M> | (End extends 'many' ? ManyKey<M> : never);
type Path<M, End, D extends 1[] = Hops> =
  | Step<M, End>
  | (End extends 'field' ? FieldKey<M> : never)
  | (D extends [1, ...infer R extends 1[]]
      ? { [K in Step<M, End>]: `${K}__${Path<RefTarget<M[K]> | ManyTarget<M[K]>, End, R>}` }[Step<M, End>]
      : never);
/** Columns that a row of `M` has or that a chain of its foreign keys leads to. */
export type ColumnPath<M> = Path<M, 'field'>;
/** Chains of foreign keys: `author`, `author__publisher`. */
export type RefPath<M> = Path<M, 'ref'>;
/** Relations in both directions: `books`, `books__reviews`. */
export type RelationPath<M> = Path<M, 'many'>;

/** What an object is made from. Which of them are required is found by validation: defaults and keys may be left out. */
export type Values<M> = { [K in FieldKey<M>]?: M[K] } & { [K in RefKey<M>]?: RefValue<M[K]> };
type NumberKey<M> = { [K in FieldKey<M>]: M[K] extends number ? K : never }[FieldKey<M>];
/** What rows are changed to: a value, or an expression of the row's own numbers. */
export type Changes<M> = {
  [K in FieldKey<M>]?: M[K] | (Present<M[K]> extends number ? FieldExpression<NumberKey<M>> : never);
} & {
  [K in RefKey<M>]?: RefValue<M[K]>;
};
