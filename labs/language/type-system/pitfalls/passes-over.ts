// Flaw: what can't happen is passed over in silence: when it does happen, the wrong answer goes on.
// Seen in: https://github.com/msupply-foundation/open-msupply/pull/1659, whose default case gave nothing back
// Caught by: a case that the compiler ruled out is an error when it comes all the same
export * from '../src/index.ts';

export function assertNever(value: never): never {
  return value;
}
