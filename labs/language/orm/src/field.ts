import * as types from './column-types.ts';
import { Column, declareOn } from './meta.ts';

/** Accepts a property of exactly the type that the column holds: `@Field.int() declare title: string` doesn't compile. */
export type FieldDecorator<V> = <T, K extends string & keyof T>(target: T & Holds<T[K], V>, key: K) => void;
type Holds<P, V> = Same<P, V> extends true ? object : { 'this column holds': V };
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

export interface FieldOptions<V, N extends boolean = boolean> {
  /** One field of each entity. An int that is left out comes from the database. */
  readonly primaryKey?: boolean;
  /** Allows NULL. Default false: the value is required. */
  readonly null?: N;
  readonly unique?: boolean;
  /** Used where no value is given; a function is called for each object. Applied by this ORM, not by the database. */
  readonly default?: V | (() => V);
  /** Name of the column. Default: the property's in snake_case. */
  readonly column?: string;
  /** What is wrong with `value`, as the end of the sentence "title …", or undefined. */
  validate?(value: V): string | undefined;
}
export type Value<N, V> = N extends true ? V | null : V;

const define =
  <V, N extends boolean>(type: types.ColumnType, options: FieldOptions<V, N> = {}): FieldDecorator<Value<N, V>> =>
  (target: object, key: string) =>
    declareOn(target, new Column(key, options, () => type));

/** `@Field.char({ max: 50 }) declare title: string`. With `declare`: a plain class field would hide what the row holds. */
export const Field = {
  /** 32 bits. `version: true` counts the saves, so that a save of stale data is refused; it is never NULL. */
  int: <N extends boolean = false>(options?: FieldOptions<number, N> & { readonly version?: boolean }) =>
    define(types.int, options),
  /** `digits` in all, `scale` of them after the point. Money belongs here. */
  decimal: <N extends boolean = false>(
    options: FieldOptions<string, N> & { readonly digits: number; readonly scale: number },
  ) => define(types.decimal(options.digits, options.scale), options),
  /** At most `max` characters. */
  char: <N extends boolean = false>(options: FieldOptions<string, N> & { readonly max: number }) =>
    define(types.text(options.max), options),
  text: <N extends boolean = false>(options?: FieldOptions<string, N>) => define(types.text(), options),
  /** A moment, to the millisecond. */
  timestamp: <N extends boolean = false>(options?: FieldOptions<Date, N>) => define(types.timestamp, options),
};
