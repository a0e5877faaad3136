// Flaw: `await` on a promise is taken for a pause; only promises have a turn, and no timer, no request, no health check.
// Seen in: https://github.com/nodejs/help/issues/2741
// Caught by: a turn of the loop serves nextTick, then promises, then immediates, and a timer that is due; a promise serves promises
export * from '../src/index.ts';

export async function nextTurn(): Promise<void> {
  await null;
}
