import type { Aggregate, F } from './expression.ts';
import type { Model } from './model.ts';

// What the compiler knows of an entity follows from its class alone: a wrong key, lookup or value doesn't compile.

/** The type of the primary key, where its property is named `id`. */
export type PkOf<M> = M extends { id: infer P } ? P : string | number | bigint;
type Own<M> = Exclude<keyof M & string, keyof Model>;
type Present<V> = Exclude<V, null | undefined>;
type Method = (...args: never) => unknown;

// Told by their members, not by `extends Ref<Model>`: entities that refer to each other would make that circular.
interface RefLike {
  readonly isLoaded: boolean;
  readonly value: unknown;
}
interface ManyLike {
  readonly isLoaded: boolean;
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

type Textual =
  | 'contains'
  | 'icontains'
  | 'startswith'
  | 'istartswith'
  | 'endswith'
  | 'iendswith'
  | 'iexact'
  | 'regex'
  | 'iregex';
type Ordered = 'gt' | 'gte' | 'lt' | 'lte' | 'range';
type LookupName<V> =
  | 'exact'
  | 'in'
  | 'isnull'
  | (Present<V> extends string ? Textual | Ordered : Present<V> extends number | bigint | Date ? Ordered : never)
  | (Present<V> extends boolean | string | number | bigint | Date ? never : 'contains' | 'haskey');
type LookupValue<V, L, Root> = L extends 'in'
  ? readonly Present<V>[]
  : L extends 'isnull'
    ? boolean
    : L extends 'range'
      ? readonly [Present<V>, Present<V>]
      : L extends 'exact'
        ? V | F<FieldKey<Root>>
        : L extends 'haskey'
          ? string
          : L extends 'contains'
            ? Present<V> extends string
              ? string
              : unknown
            : L extends 'gt' | 'gte' | 'lt' | 'lte'
              ? Present<V> | F<FieldKey<Root>>
              : string;

/** A foreign key is compared to an object, a reference or a key. */
type RefValue<V> = RefTarget<V> | Present<V> | PkOf<RefTarget<V>> | Extract<V, null>;

/** How many relations a path may cross. Each makes the compiler's work several times larger. */
type Hops = [1, 1];

type Paths<M, D extends 1[]> =
  | { [K in FieldKey<M>]: K | `${K}__${LookupName<M[K]>}` }[FieldKey<M>]
  | { [K in RefKey<M>]: K | `${K}__${'in' | 'isnull' | 'exact'}` }[RefKey<M>]
  | { [K in ManyKey<M>]: K | `${K}__isnull` }[ManyKey<M>]
  | (D extends [1, ...infer R extends 1[]]
      ? { [K in RefKey<M> | ManyKey<M>]: `${K}__${Paths<RefTarget<M[K]> | ManyTarget<M[K]>, R>}` }[
          | RefKey<M>
          | ManyKey<M>]
      : never);
type PathValue<M, P, Root> =
  P extends FieldKey<M>
    ? M[P & keyof M] | F<FieldKey<Root>>
    : P extends RefKey<M>
      ? RefValue<M[P & keyof M]>
      : P extends ManyKey<M>
        ? ManyTarget<M[P & keyof M]>
        : P extends `${infer H}__${infer T}`
          ? H extends FieldKey<M>
            ? LookupValue<M[H & keyof M], T, Root>
            : H extends RefKey<M> | ManyKey<M>
              ? H extends keyof M
                ? RefLookup<M[H], T, Root>
                : never
              : never
          : never;
type RefLookup<V, T, Root> = T extends 'isnull'
  ? boolean
  : T extends 'in'
    ? readonly Present<RefValue<V>>[]
    : T extends 'exact'
      ? RefValue<V>
      : PathValue<RefTarget<V> | ManyTarget<V>, T, Root>;

/** Conditions on `M`, all of which must hold: fields, lookups like `age__gte`, and paths like `author__name__icontains`. */
export type Where<M> = { readonly [P in Paths<M, Hops>]?: PathValue<M, P, M> };
/** Conditions on what `annotate` added. */
export type AnnotationWhere<A> = {
  readonly [P in keyof A & string as P]?: A[P];
} & {
  readonly [P in AnnotationLookup<A>]?: P extends `${infer H}__${infer L}`
    ? LookupValue<A[H & keyof A], L, never>
    : never;
};
type AnnotationLookup<A> = { [P in keyof A & string]: `${P}__${LookupName<A[P]>}` }[keyof A & string];

/** Columns that a row of `M` has or that a chain of its foreign keys leads to. */
export type ColumnPath<M, D extends 1[] = Hops> =
  | FieldKey<M>
  | RefKey<M>
  | (D extends [1, ...infer R extends 1[]]
      ? { [K in RefKey<M>]: `${K}__${ColumnPath<RefTarget<M[K]>, R>}` }[RefKey<M>]
      : never);
export type ColumnValue<M, P> =
  P extends FieldKey<M>
    ? M[P & keyof M]
    : P extends RefKey<M>
      ? PkOf<RefTarget<M[P & keyof M]>> | Extract<M[P & keyof M], null>
      : P extends `${infer H}__${infer T}`
        ? H extends keyof M
          ? ColumnValue<RefTarget<M[H]>, T> | Extract<M[H], null>
          : never
        : never;
/** Chains of foreign keys: `author`, `author__publisher`. */
export type RefPath<M, D extends 1[] = Hops> =
  | RefKey<M>
  | (D extends [1, ...infer R extends 1[]]
      ? { [K in RefKey<M>]: `${K}__${RefPath<RefTarget<M[K]>, R>}` }[RefKey<M>]
      : never);
/** Relations in both directions: `books`, `books__reviews`. */
export type RelationPath<M, D extends 1[] = Hops> =
  | RefKey<M>
  | ManyKey<M>
  | (D extends [1, ...infer R extends 1[]]
      ? { [K in RefKey<M> | ManyKey<M>]: `${K}__${RelationPath<RefTarget<M[K]> | ManyTarget<M[K]>, R>}` }[
          | RefKey<M>
          | ManyKey<M>]
      : never);

/** What an object is made from. Which of them are required is found by validation: defaults and keys may be left out. */
export type Values<M> = { [K in FieldKey<M>]?: M[K] } & { [K in RefKey<M>]?: RefValue<M[K]> };
/** What rows are changed to: a value, or an expression of the row's own columns. */
export type Changes<M> = { [K in FieldKey<M>]?: M[K] | F<FieldKey<M>> } & { [K in RefKey<M>]?: RefValue<M[K]> };

/** What can be counted or added up: own columns, a relation to many, and a column of its rows. */
export type AggregatePath<M> =
  | ColumnPath<M, []>
  | ManyKey<M>
  | { [K in ManyKey<M>]: `${K}__${ColumnPath<ManyTarget<M[K]>, []>}` }[ManyKey<M>];
type AggregateColumn<M, P> = P extends `${infer H}__${infer T}`
  ? H extends ManyKey<M>
    ? ColumnValue<ManyTarget<M[H]>, T>
    : never
  : ColumnValue<M, P>;
type AggregateValue<M, G> =
  G extends Aggregate<infer Kind, infer P>
    ? Kind extends 'count'
      ? number
      : Kind extends 'avg'
        ? number | null
        : Present<AggregateColumn<M, P>> | null
    : never;
export type Aggregated<M, N> = { -readonly [K in keyof N]: AggregateValue<M, N[K]> };
