import { link, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { InvalidArgumentError, StateConflictError } from './errors.ts';

const sample = z.object({ requests: z.number(), errors: z.number() });
const rollout = z.object({
  release: z.string(),
  /** `rolling-back` is written before the traffic is taken away, `rolled-back` after. */
  phase: z.enum(['advancing', 'promoted', 'rolling-back', 'rolled-back']),
  /** Index of the step that is looked at. */
  step: z.number(),
  reason: z.string(),
  history: z.array(
    z.object({
      weight: z.number(),
      verdict: z.enum(['worse', 'healthy', 'unknown']),
      reason: z.string(),
      canary: sample,
      stable: sample,
    }),
  ),
});

export type RolloutState = z.infer<typeof rollout>;

export interface StateStore {
  load(): Promise<{ readonly revision: number; readonly state: RolloutState | undefined }>;
  /** @returns the new revision. @throws StateConflictError when the state is no longer that of `revision` */
  save(state: RolloutState, revision: number): Promise<number>;
}

/**
 * A state in a file, `PATH.N` for its revision N. A file of that name is made once, so of two controllers that save at the
 * same time one is told.
 */
export function fileStore(path: string): StateStore {
  const newest = async () => {
    const names = (await readdir(dirname(path))).filter((name) => name.startsWith(`${basename(path)}.`));
    const numbers = names.map((name) => name.slice(basename(path).length + 1)).filter((it) => /^[1-9]\d*$/.test(it));
    return Math.max(0, ...numbers.map(Number));
  };
  const conflict = (cause?: Error) =>
    new StateConflictError(`${path} was changed by another controller: end one of the two.`, { cause });
  return {
    async load() {
      const revision = await newest();
      if (revision === 0) return { revision, state: undefined };
      const file = `${path}.${revision}`;
      try {
        return { revision, state: rollout.parse(JSON.parse(await readFile(file, 'utf8'))) };
      } catch (cause) {
        if ((await newest()) !== revision) return this.load();
        throw new InvalidArgumentError(
          `${file} is not the state of a rollout: remove it to go on from the one before.`,
          {
            cause,
          },
        );
      }
    },
    async save(state, revision) {
      const [next, draft] = [
        revision + 1,
        join(dirname(path), `.${basename(path)}-${process.pid}-${performance.now()}`),
      ];
      await writeFile(draft, JSON.stringify(state), { flush: true });
      try {
        await link(draft, `${path}.${next}`);
        // Asked afterwards: who was asleep between a question and its link would believe an old answer.
        const mine = (await newest()) === next;
        await rm(`${path}.${mine ? revision - 1 : next}`, { force: true });
        if (!mine) throw conflict();
        return next;
      } catch (error) {
        throw error instanceof Error && 'code' in error && error.code === 'EEXIST' ? conflict(error) : error;
      } finally {
        await rm(draft, { force: true });
      }
    },
  };
}
