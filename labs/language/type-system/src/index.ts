export { type Brand, type Email, email, type UserId, userId } from './brand.ts';
export {
  CompilerError,
  checkFixtures,
  compile,
  type Diagnostic,
  type Flags,
  type Mismatch,
  strictFlags,
  verify,
} from './compile.ts';
export type { Equal, Expect } from './equal.ts';
export { fixes } from './fixes.ts';
export { broken, mended } from './mended.ts';
export { ParseError, parse } from './parse.ts';
export { type Program, type ProgramName, programs } from './programs.ts';
export { assertNever, type Err, err, ImpossibleCaseError, type Issue, type Ok, ok, type Result } from './result.ts';
export { type Flyer, getLength, greet, handle, type Processor, processData, takeoff } from './snippets.ts';
export { Stack } from './stack.ts';
export { parseUser, type User } from './user.ts';
