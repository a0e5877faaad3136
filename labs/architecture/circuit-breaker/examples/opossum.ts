// The same shop, with opossum: behind the interface of this lab, and where the two differ. `pnpm lab circuit-breaker opossum`
import { setTimeout as delay } from 'node:timers/promises';
import { tell } from '@shared/story';
import Opossum from 'opossum';
import { type Call, CallTimeoutError, CircuitBreaker, CircuitOpenError, type Policy } from '#lab';

export interface OpossumOptions {
  readonly timeoutMs: number;
  readonly openMs: number;
  readonly failureRate: number;
  readonly minCalls: number;
  readonly windowMs: number;
  /** Default: all errors are failures. */
  readonly isFailure?: (error: unknown) => boolean;
}

/** opossum as a `Policy`: opossum gives the action no signal, so each call brings a controller of its own. */
export function opossumAdapter(options: OpossumOptions): Policy & { readonly circuit: Opossum } {
  const { isFailure = () => true } = options;
  const circuit: Opossum = new Opossum((call: () => unknown) => Promise.resolve(call()), {
    timeout: options.timeoutMs,
    resetTimeout: options.openMs,
    errorThresholdPercentage: options.failureRate * 100,
    volumeThreshold: options.minCalls,
    rollingCountTimeout: options.windowMs,
    rollingCountBuckets: 10,
    errorFilter: (error: unknown) => !isFailure(error),
  });
  return {
    circuit,
    async run<T>(call: Call<T>, { signal }: { readonly signal?: AbortSignal | undefined } = {}): Promise<T> {
      const own = new AbortController();
      const both = signal ? AbortSignal.any([signal, own.signal]) : own.signal;
      const { promise: answer, resolve } = Promise.withResolvers<T>();
      try {
        await circuit.fire(async () => resolve(await call(both)));
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? error.code : undefined;
        if (code === 'EOPENBREAKER') throw new CircuitOpenError('opossum is open; not called.', options.openMs);
        if (code !== 'ETIMEDOUT') throw error;
        const timeout = new CallTimeoutError(`opossum: no answer within ${options.timeoutMs} ms.`);
        own.abort(timeout);
        throw timeout;
      }
      return answer;
    },
  };
}

if (import.meta.main) {
  const settings = { timeoutMs: 5_000, openMs: 50, failureRate: 0.5, minCalls: 4, windowMs: 10_000 };
  const fail = () => Promise.reject(new Error('503'));
  const lab = () => new CircuitBreaker({ ...settings, window: { type: 'time', size: settings.windowMs } });

  await tell({ title: 'The lab and opossum', dir: import.meta.dirname }, async (story) => {
    await story.scene('A straggler comes home', async () => {
      story.say(
        'A call began while all was well, and takes its time. Four others fail, the circuit opens, its time passes, a ' +
          'probe is sent. Before the probe has answered, the straggler succeeds. What does that prove?',
      );
      const straggle = async (policy: Policy, state: () => string) => {
        const [straggler, probe] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()];
        const old = policy.run(() => straggler.promise);
        for (let n = 0; n < 4; n++) await policy.run(fail).catch(() => {});
        const opened = state();
        while (state() !== 'half-open') await delay(5);
        const probing = policy.run(() => probe.promise);
        straggler.resolve('an answer of yesterday');
        await old;
        const after = state();
        probe.reject(new Error('503'));
        await probing.catch(() => {});
        return { opened, after };
      };
      const ours = lab();
      const theirs = opossumAdapter(settings);
      const mine = await straggle(ours, () => ours.state);
      const other = await straggle(theirs, () => nameOf(theirs.circuit));
      theirs.circuit.shutdown();
      story.table({
        columns: ['', 'four failures', 'the straggler succeeds, the probe is under way'],
        rows: [
          ['lab', mine.opened, mine.after],
          ['opossum', other.opened, other.after],
        ],
      });
      story.verdict('opossum takes it for the probe', other.after, other.after === 'closed');
      story.verdict('the lab waits for the probe', mine.after, mine.after === 'half-open');
    });

    await story.scene('One call runs out of time', async () => {
      story.say('A call hangs, and its time limit of 400 ms passes. Nine others began after it and need 300 ms.');
      const hang = () => new Promise<string>(() => {});
      const work = (signal: AbortSignal) => delay(300, 'paid', { signal });
      /** How many of nine answered while another one ran out of time. */
      const nine = async (run: (call: Call<string>) => Promise<unknown>) => {
        const hanging = run(hang).catch(() => {});
        await delay(200);
        const ends = await Promise.allSettled(Array.from({ length: 9 }, () => run(work)));
        await hanging;
        return ends.filter(({ status }) => status === 'fulfilled').length;
      };
      const ours = lab();
      const mine = await nine((call) => ours.run(call, { timeoutMs: 400 }));
      const abortController = new AbortController();
      const circuit = new Opossum((call: Call<string>) => Promise.resolve(call(abortController.signal)), {
        timeout: 400,
        abortController,
      });
      const others = await nine((call) => circuit.fire(call));
      circuit.shutdown();
      story.table({
        columns: ['', 'answered'],
        rows: [
          ['lab: a signal for each call', `${mine} of 9`],
          ['opossum: `abortController`', `${others} of 9`],
        ],
      });
      story.verdict("opossum's controller belongs to the circuit: it aborts them all", `${others} of 9`, others === 0);
      story.verdict("the lab's belongs to the call", `${mine} of 9`, mine === 9);
    });
  });
}

function nameOf(circuit: Opossum): string {
  if (circuit.opened) return 'open';
  return circuit.halfOpen ? 'half-open' : 'closed';
}
