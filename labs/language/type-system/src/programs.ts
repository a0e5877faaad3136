import type { strictFlags } from './compile.ts';

/** A program that must not compile. One line is wrong; it ends in `// !` and the code of the error. */
export interface Program {
  readonly name: string;
  /** Without this flag the compiler lets the program pass. Undefined: it is refused under any flags. */
  readonly flag?: keyof typeof strictFlags | StrictPart;
  /** What the line still says once it has been mended: leaving it out is no remedy. */
  readonly keeps: string;
  readonly code: string;
}

/** What `strict` switches on, as far as a program below shows it. */
type StrictPart =
  | 'strictNullChecks'
  | 'noImplicitAny'
  | 'useUnknownInCatchVariables'
  | 'strictFunctionTypes'
  | 'strictPropertyInitialization'
  | 'strictBindCallApply';

const shapes = `type Shape = { kind: 'circle'; r: number } | { kind: 'square'; a: number } | { kind: 'triangle'; a: number; h: number };
function assertNever(value: never): never {
  throw new Error(String(value));
}`;

const birds = `interface Flyer { fly(): string }
class Bird { fly() { return 'flapping'; } }
class Fish { swim() { return 'gliding'; } }
const takeoff = (flyer: Flyer) => flyer.fly();`;

const brands = `declare const brand: unique symbol;
type UserId = number & { readonly [brand]: 'UserId' };
type OrderId = number & { readonly [brand]: 'OrderId' };
declare function userId(value: number): UserId;
declare function orderId(value: number): OrderId;`;

export const programs = [
  // ── another type ──────────────────────────────────────────────────────────────────────────────────────────────────
  {
    name: 'greet-a-number',
    keeps: 'greet(',
    code: `const greet = (name: string): string => 'Hello, ' + name;
greet(42); // !TS2345`,
  },
  {
    name: 'division-gives-a-text',
    keeps: 'return',
    code: `export function div(a: number, b: number): number {
  return b === 0 ? 'infinite' : a / b; // !TS2322
}`,
  },
  {
    name: 'callback-gives-a-number',
    keeps: 'processData(21',
    code: `const processData = (data: number, callback: (data: number) => string) => callback(data);
processData(21, (n) => n * 2); // !TS2322`,
  },
  {
    name: 'text-on-a-stack-of-numbers',
    keeps: 'new Stack<number>().push(',
    code: `class Stack<T> {
  #items: T[] = [];
  push(item: T) { this.#items.push(item); }
}
new Stack<number>().push('7'); // !TS2345`,
  },
  {
    name: 'called-with-a-number',
    keeps: 'greet.call(',
    flag: 'strictBindCallApply',
    code: `const greet = (name: string): string => 'Hello, ' + name;
greet.call(undefined, 42); // !TS2345`,
  },
  // ── what may be missing ───────────────────────────────────────────────────────────────────────────────────────────
  {
    name: 'length-of-null',
    keeps: 'return',
    flag: 'strictNullChecks',
    code: `export function getLength(text: string | null): number {
  return text.length; // !TS18047
}`,
  },
  {
    name: 'first-of-nobody',
    keeps: 'first: string',
    flag: 'noUncheckedIndexedAccess',
    code: `const users: string[] = [];
export const first: string = users[0]; // !TS2322`,
  },
  {
    name: 'undefined-said-aloud',
    keeps: 'profile: Profile',
    flag: 'exactOptionalPropertyTypes',
    code: `interface Profile { name: string; nickname?: string }
export const profile: Profile = { name: 'Alice', nickname: undefined }; // !TS2375`,
  },
  {
    name: 'field-without-a-value',
    keeps: 'name',
    flag: 'strictPropertyInitialization',
    code: `export class User {
  name: string; // !TS2564
}`,
  },
  // ── what nobody knows ─────────────────────────────────────────────────────────────────────────────────────────────
  {
    name: 'any-by-omission',
    keeps: 'debug(',
    flag: 'noImplicitAny',
    code: `export function debug(data) { // !TS7006
  return data;
}`,
  },
  {
    name: 'unknown-shouted',
    keeps: 'return',
    code: `export function handle(data: unknown): string {
  return data.toUpperCase(); // !TS18046
}`,
  },
  {
    name: 'error-or-not',
    keeps: 'return',
    flag: 'useUnknownInCatchVariables',
    code: `export function reasonOf(work: () => void): string {
  try { work(); } catch (error) {
    return error.message; // !TS18046
  }
  return '';
}`,
  },
  {
    name: 'key-by-hearsay',
    keeps: 'score =',
    flag: 'noPropertyAccessFromIndexSignature',
    code: `const scores: Record<string, number> = { math: 90.5 };
export const score = scores.maths; // !TS4111`,
  },
  // ── every case ────────────────────────────────────────────────────────────────────────────────────────────────────
  {
    name: 'forgotten-case',
    keeps: 'assertNever(shape)',
    code: `${shapes}
export function area(shape: Shape): number {
  switch (shape.kind) {
    case 'circle': return Math.PI * shape.r ** 2;
    case 'square': return shape.a ** 2;
    default: return assertNever(shape); // !TS2345
  }
}`,
  },
  {
    name: 'road-without-an-end',
    keeps: 'discount',
    flag: 'noImplicitReturns',
    code: `export const discount = (age: number): number | undefined => { if (age < 6) return 1; }; // !TS7030`,
  },
  {
    name: 'case-falls-into-the-next',
    keeps: "case 'child'",
    flag: 'noFallthroughCasesInSwitch',
    code: `export function price(kind: 'child' | 'adult'): number {
  let cents = 0;
  switch (kind) {
    case 'child': cents += 500; // !TS7029
    case 'adult': cents += 900;
  }
  return cents;
}`,
  },
  // ── shapes ────────────────────────────────────────────────────────────────────────────────────────────────────────
  {
    name: 'fish-takes-off',
    keeps: 'takeoff(',
    code: `${birds}
new Bird();
takeoff(new Fish()); // !TS2741`,
  },
  {
    name: 'vet-for-dogs-alone',
    keeps: 'vet: Vet',
    flag: 'strictFunctionTypes',
    code: `interface Animal { name: string }
interface Dog extends Animal { bark(): string }
type Vet = (patient: Animal) => string;
export const vet: Vet = (patient: Dog) => patient.bark(); // !TS2322`,
  },
  {
    name: 'override-by-accident',
    keeps: 'fly()',
    flag: 'noImplicitOverride',
    code: `class Bird { fly() { return 'flapping'; } }
export class Penguin extends Bird {
  fly() { return 'waddling'; } // !TS4114
}`,
  },
  {
    name: 'order-for-a-user',
    keeps: 'orders(',
    code: `${brands}
export const orders = (user: UserId): OrderId[] => [orderId(user)];
userId(7);
orders(orderId(7)); // !TS2345`,
  },
] as const satisfies readonly Program[];

export type ProgramName = (typeof programs)[number]['name'];
