import type { FieldExpression } from './expression.ts';
import type { Model } from './model.ts';

// What the compiler knows of an entity follows from its class alone: a wrong key, lookup or value doesn't compile.

/** The type of the primary key, where its property is named `id`. */
export type PkOf<M> = M extends { id: infer P } ? P : string | number;
type Own<M> = Exclude<keyof M & string, keyof Model>;
type Present<V> = Exclude<V, null | undefined>;
type Method = (...args: never) => unknown;

// Told by their members, not by `extends Ref<Model>`: entities that refer to each other would make that circular.
type RefLike = { readonly isLoaded: boolean; readonly value: unknown };
type ManyLike = readonly unknown[];
/** The entity at the other end of a relation. */
type Target<V> =
  Present<V> extends RefLike ? Present<V>['value'] : Present<V> extends ManyLike ? Present<V>[number] : never;

/** The names of an entity's foreign keys, reverse relations and plain columns. */
export type RefKey<M> = { [K in Own<M>]: Present<M[K]> extends RefLike ? K : never }[Own<M>];
type ManyKey<M> = { [K in Own<M>]: Present<M[K]> extends ManyLike ? K : never }[Own<M>];
type FieldKey<M> = { [K in Own<M>]: Present<M[K]> extends Method | RefLike | ManyLike ? never : K }[Own<M>];
type Step<M, Kinds extends keyof Keys<M>> = Keys<M>[Exclude<Kinds, 'field'>];
type Keys<M> = { ref: RefKey<M>; many: ManyKey<M>; field: FieldKey<M> };

/** How many relations a path may cross. Each makes the compiler's work several times larger. */
type Hops = [1, 1];
/** `author__publisher__name`: steps along the relations of these `Kinds`, to an end of one of them. */
type Path<M, Kinds extends keyof Keys<M>, D extends 1[] = Hops> =
  | Keys<M>[Kinds]
  | (D extends [1, ...infer R extends 1[]]
      ? { [K in Step<M, Kinds>]: `${K}__${Path<Target<M[K]>, Kinds, R>}` }[Step<M, Kinds>]
      : never);
/** Columns that a row of `M` has or that a chain of its foreign keys leads to. */
export type ColumnPath<M> = Path<M, 'ref' | 'field'>;
/** Chains of foreign keys: `author`, `author__publisher`. */
export type RefPath<M> = Path<M, 'ref'>;
/** Relations in both directions: `books`, `books__reviews`. */
export type RelationPath<M> = Path<M, 'ref' | 'many'>;
type AnyPath<M> = Path<M, 'ref' | 'many' | 'field'>;

/** What a property is set and compared to: a foreign key to an object, a reference or a key; many values to nothing. */
type Given<V> = Present<V> extends RefLike ? V | Target<V> | PkOf<Target<V>> : Present<V> extends ManyLike ? never : V;
/** What a path leads to. */
type At<M, P> = P extends keyof M
  ? Given<M[P]>
  : P extends `${infer H extends keyof M & string}__${infer T}`
    ? At<Target<M[H]>, T>
    : never;
/** `P` with one of the lookups, where the path leads to a value of type `V`. */
type If<M, P extends string, V, Lookup extends string> = [At<M, P>] extends [never]
  ? never
  : [Present<At<M, P>>] extends [V]
    ? `${P}__${Lookup}`
    : never;

/** Conditions on `M`, all of which must hold: fields, lookups like `age__gte`, and paths like `author__name__icontains`. */
export type Where<M> = { readonly [P in AnyPath<M>]?: At<M, P> } & {
  readonly [P in AnyPath<M> as If<M, P, unknown, 'in'>]?: readonly Present<At<M, P>>[];
} & {
  readonly [P in AnyPath<M> as `${P}__isnull`]?: boolean;
} & {
  readonly [P in AnyPath<M> as If<M, P, string, 'contains' | 'icontains' | 'startswith' | 'endswith'>]?: string;
} & {
  readonly [P in AnyPath<M> as If<M, P, string | number | Date, 'gt' | 'gte' | 'lt' | 'lte'>]?: Present<At<M, P>>;
} & Plain;
/** What has one of these is an object, a reference, a query or a promise: no list of values, though it may have an `id`. */
type Plain = { readonly [K in 'save' | 'isLoaded' | 'toSql' | 'then']?: never };

/** What an object is made from. Which of them are required is found by validation: defaults and keys may be left out. */
export type Values<M> = { [K in FieldKey<M> | RefKey<M>]?: Given<M[K]> } & Plain;
type FieldOf<M, V> = { [K in FieldKey<M>]: M[K] extends V ? K : never }[FieldKey<M>];
type Computed<M, V> = Present<V> extends number ? FieldExpression<FieldOf<M, V>> : never;
/** What rows are changed to: a value, or an expression of the row's own numbers, NULL only where that may be. */
export type Changes<M> = { [K in FieldKey<M> | RefKey<M>]?: Given<M[K]> | Computed<M, M[K]> } & Plain;
