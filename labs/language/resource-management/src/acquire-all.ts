import { type ContextManager, exitAndThrow, holding } from './context.ts';
import { ExitStack } from './exit-stack.ts';
import { chain } from './suppressed.ts';

export type Managers = readonly ContextManager<unknown, unknown>[];
/** What each of them gives, in order. */
export type ValuesOf<M extends Managers> = {
  -readonly [K in keyof M]: M[K] extends ContextManager<infer T, unknown> ? T : never;
};
/** What any of them may answer. */
export type AnswerOf<M> = M extends ContextManager<unknown, infer A> ? A : never;

/**
 * A manager that enters all `managers` at once, or none of them: if one fails, it waits for the others, exits those
 * that were entered, and throws. Give each a time limit of its own. Exits are run one by one, the last manager's first.
 *
 * @throws from `enter`: the error of the manager that failed; of several, and of exits that fail, see `chain`
 */
export function acquireAll<M extends Managers>(...managers: M): ContextManager<ValuesOf<M>, AnswerOf<M[number]>>;
export function acquireAll(...managers: Managers): ContextManager<unknown[], unknown> {
  return {
    async enter() {
      const attempts = await Promise.allSettled(managers.map(async (manager) => manager.enter()));
      const held = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
      const failures = attempts.flatMap((attempt) => (attempt.status === 'rejected' ? [attempt.reason] : []));
      const stack = new ExitStack();
      for (const each of held) stack.push((ending) => each.exit(ending));
      if (failures.length > 0)
        return exitAndThrow(
          stack,
          failures.reduce((older, newer) => chain(newer, older)),
        );
      const values = held.map(({ value }) => value);
      return holding(values, stack.exit);
    },
  };
}
