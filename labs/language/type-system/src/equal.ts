/**
 * `true` when A and B are the same type, `any` included, which compares as equal to everything otherwise.
 * Source: https://github.com/microsoft/TypeScript/issues/27024#issuecomment-421529650
 */
export type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** `Expect<Equal<A, B>>` does not compile unless the two are the same. */
export type Expect<T extends true> = T;
