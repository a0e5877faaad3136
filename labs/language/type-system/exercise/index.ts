import type { Email, Flags, fixes as GivenFixes, Issue, Mismatch, Result, User, UserId } from '../src/index.ts';

// Given: the types, the twenty programs (a failing law shows the one that it waits for; all are in src/programs.ts, beside
// the answers in src/fixes.ts), `compile`, which asks the compiler what it says of a program, and the roadmap's small
// snippets. Yours: the fixes, the doors of the brands, `parse`, `assertNever`, `Stack`, `parseUser`, and `verify`. To import
// from src/index.ts: `ok`, `err`, ParseError(message, { cause }), ImpossibleCaseError(value). `h` in `pnpm lab learn type-system` gives a hint.
export {
  type Brand,
  CompilerError,
  compile,
  type Diagnostic,
  type Email,
  type Equal,
  type Err,
  type Expect,
  err,
  type Flags,
  type Flyer,
  getLength,
  greet,
  handle,
  ImpossibleCaseError,
  type Issue,
  type Mismatch,
  mended,
  type Ok,
  ok,
  ParseError,
  type Processor,
  type Program,
  type ProgramName,
  processData,
  programs,
  type Result,
  strictFlags,
  takeoff,
  type User,
  type UserId,
} from '../src/index.ts';

/**
 * For each program, what has to stand in place of its wrong line, the one that is marked `// !TS…`; it may be several lines. The line must still say what it said
 * (`keeps` of the program), and must convince the compiler, not silence it: no `as`, no `<T>value`, no `any`, no `!`, no `@ts-…`; and in syntax that Node
 * runs as it is, so without parameter properties.
 */
export const fixes: typeof GivenFixes = {
  // another type
  'greet-a-number': '',
  'division-gives-a-text': '',
  'callback-gives-a-number': '',
  'text-on-a-stack-of-numbers': '',
  'called-with-a-number': '',
  // what may be missing
  'length-of-null': '',
  'first-of-nobody': '',
  'undefined-said-aloud': '',
  'field-without-a-value': '',
  // what nobody knows
  'any-by-omission': '',
  'unknown-shouted': '',
  'error-or-not': '',
  'key-by-hearsay': '',
  // every case
  'forgotten-case': '',
  'road-without-an-end': '',
  'case-falls-into-the-next': '',
  // shapes
  'fish-takes-off': '',
  'vet-for-dogs-alone': '',
  'override-by-accident': '',
  // identities
  'order-for-a-user': '',
};

/** The only door to a UserId: a whole number from 1 that JavaScript can hold exactly. */
export function userId(_value: unknown): Result<UserId, Issue> {
  return todo('userId');
}

/** The only door to an Email: one `@`, a dot behind it, no blank, nothing invisible, well-formed, at most 254 bytes of UTF-8. */
export function email(_value: unknown): Result<Email, Issue> {
  return todo('email');
}

/** Ends a switch over a union. @throws ImpossibleCaseError when it is reached. */
export function assertNever(_value: never): never {
  return todo('assertNever');
}

/** Items come back in the opposite order. */
export class Stack<T> {
  get size(): number {
    return todo('Stack.size');
  }

  push(_item: T): void {
    todo('Stack.push');
  }

  /** The newest item, or undefined where there is none. */
  pop(): T | undefined {
    return todo('Stack.pop');
  }
}

/**
 * A text becomes a number, bytes become a text; whatever else JavaScript hands in is a ParseError, too.
 * @throws ParseError on a text that isn't a decimal whole number in the safe range, written as JavaScript writes it, and
 *   on bytes that aren't UTF-8 (see `TextDecoder`).
 */
export function parse(input: string): number;
export function parse(input: Uint8Array): string;
export function parse(_input: string | Uint8Array): number | string {
  return todo('parse');
}

/**
 * A user from whatever came in, with zod or by hand: `id` and `email` by their doors; `nickname`, which may be left out, of
 * at most 50 characters; `age`, a whole number from 0 to 150, or null; `newsletter`, a boolean; `address.city`, at most 100
 * characters. Nothing is coerced, a key that nobody knows is an error, texts are well-formed and not empty. Never throws.
 * @returns all that is wrong, each with its path, when anything is.
 */
export function parseUser(_input: unknown): Result<User, readonly Issue[]> {
  return todo('parseUser');
}

/** The programs as they are, by file: `${name}.ts` → its text. */
export function broken(): Record<string, string> {
  return todo('broken');
}

/**
 * Lines that must fail end in `// !TS2345`. Compiles `sources` and gives the disagreements: an announced line that passes
 * (`actual` undefined), fails with another code, or a line that fails and isn't announced (`expected` undefined).
 */
export async function verify(_sources: Readonly<Record<string, string>>, _flags: Flags = {}): Promise<Mismatch[]> {
  return todo('verify');
}

/** `verify` for the `.ts` files of a folder. */
export async function checkFixtures(_dir: string, _flags: Flags = {}): Promise<Mismatch[]> {
  return todo('checkFixtures');
}

function todo(what: string): never {
  throw new Error(`${what} is not written yet: its comment in attempt/index.ts is the task.`);
}
