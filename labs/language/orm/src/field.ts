import * as types from './column-types.ts';
import { addColumn, Column, type ColumnOptions } from './meta.ts';

/** Accepts a property of exactly the type that the column holds: `@Field.int() declare title: string` doesn't compile. */
export type FieldDecorator<V> = <T extends object, K extends string & keyof T>(
  target: T & Holds<T, K, V>,
  key: K,
) => void;
type Holds<T, K, V> = K extends keyof T ? (Same<T[K], V> extends true ? unknown : { 'this column holds': V }) : never;
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

export interface FieldOptions<V> {
  /** One field of each entity. `int` and `bigint` keys that are left out come from the database. */
  readonly primaryKey?: boolean;
  /** Allows NULL. Default false: the value is required. */
  readonly null?: boolean;
  readonly unique?: boolean;
  /** Used where no value is given; a function is called for each object. Applied by this ORM, not by the database. */
  readonly default?: V | (() => V);
  /** Name of the column. Default: the property's in snake_case. */
  readonly column?: string;
  /** What is wrong with `value`, as the end of the sentence "title …", or undefined. */
  validate?(value: V): string | undefined;
}
interface Choices<V> {
  readonly choices?: readonly V[];
}
type Value<O, V> = O extends { readonly null: true } ? V | null : V;
type Chosen<O> = O extends { readonly choices: readonly (infer C)[] } ? C : string;

interface FieldDecorators {
  /** 32 bits. `version: true` counts the saves, so that a save of stale data is refused. */
  int<const O extends FieldOptions<number> & { readonly version?: boolean }>(o?: O): FieldDecorator<Value<O, number>>;
  bigint<const O extends FieldOptions<bigint>>(options?: O): FieldDecorator<Value<O, bigint>>;
  /** `digits` in all, `scale` of them after the point. Money belongs here. */
  decimal<const O extends FieldOptions<string> & { readonly digits: number; readonly scale: number }>(
    options: O,
  ): FieldDecorator<Value<O, string>>;
  /** At most `max` characters; with `choices`, one of them. */
  char<const O extends FieldOptions<string> & Choices<string> & { readonly max: number }>(
    options: O,
  ): FieldDecorator<Value<O, Chosen<O>>>;
  text<const O extends FieldOptions<string>>(options?: O): FieldDecorator<Value<O, string>>;
  bool<const O extends FieldOptions<boolean>>(options?: O): FieldDecorator<Value<O, boolean>>;
  /** A moment, to the millisecond. */
  timestamp<const O extends FieldOptions<Date>>(options?: O): FieldDecorator<Value<O, Date>>;
}

const define = (type: types.ColumnType, options: ColumnOptions & Choices<unknown> = {}) => {
  const { choices, validate } = options;
  const within = (value: unknown) =>
    choices === undefined || choices.includes(value) ? validate?.(value) : `must be one of ${choices.join(', ')}`;
  return (target: object, key: string): void =>
    addColumn(target, new Column(key, { ...options, validate: within }, () => type));
};

/** `@Field.char({ max: 50 }) declare title: string`. With `declare`: a plain class field would hide what the row holds. */
export const Field: FieldDecorators = {
  int: (options?: ColumnOptions) => define(types.int, options),
  bigint: (options?: ColumnOptions) => define(types.bigint, options),
  decimal: (options: ColumnOptions & { digits: number; scale: number }) =>
    define(types.decimal(options.digits, options.scale), options),
  char: (options: ColumnOptions & { max: number }) => define(types.char(options.max), options),
  text: (options?: ColumnOptions) => define(types.longText, options),
  bool: (options?: ColumnOptions) => define(types.bool, options),
  timestamp: (options?: ColumnOptions) => define(types.timestamp, options),
};
