import * as types from './column-types.ts';
import { Column, type ColumnOptions, declareOn } from './meta.ts';

/** Accepts a property of exactly the type that the column holds: `@Field.int() declare title: string` doesn't compile. */
export type FieldDecorator<V> = <T extends object, K extends string & keyof T>(
  target: T & Holds<T, K, V>,
  key: K,
) => void;
type Holds<T, K, V> = K extends keyof T ? (Same<T[K], V> extends true ? unknown : { 'this column holds': V }) : never;
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

export interface FieldOptions<V> {
  /** One field of each entity. An int that is left out comes from the database. */
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
type Value<O, V> = O extends { readonly null: true } ? V | null : V;

const define =
  (type: types.ColumnType, options: ColumnOptions = {}) =>
  (target: object, key: string): void =>
    declareOn(target, new Column(key, options, () => type));

/** `@Field.char({ max: 50 }) declare title: string`. With `declare`: a plain class field would hide what the row holds. */
export const Field = {
  /** 32 bits. `version: true` counts the saves, so that a save of stale data is refused. */
  int: <const O extends FieldOptions<number> & { readonly version?: boolean }>(
    options?: O,
  ): FieldDecorator<Value<O, number>> => define(types.int, options),
  /** `digits` in all, `scale` of them after the point. Money belongs here. */
  decimal: <const O extends FieldOptions<string> & { readonly digits: number; readonly scale: number }>(
    options: O,
  ): FieldDecorator<Value<O, string>> => define(types.decimal(options.digits, options.scale), options),
  /** At most `max` characters. */
  char: <const O extends FieldOptions<string> & { readonly max: number }>(
    options: O,
  ): FieldDecorator<Value<O, string>> => define(types.text(options.max), options),
  text: <const O extends FieldOptions<string>>(options?: O): FieldDecorator<Value<O, string>> =>
    define(types.text(), options),
  /** A moment, to the millisecond. */
  timestamp: <const O extends FieldOptions<Date>>(options?: O): FieldDecorator<Value<O, Date>> =>
    define(types.timestamp, options),
};
