import { Worker } from 'node:worker_threads';
import { checkNumber } from './check.ts';
import { detectCpu } from './cpu.ts';

const burner = `
const { parentPort } = require('node:worker_threads');
const burn = (ms) => {
  let steps = 0;
  const cpu = process.threadCpuUsage();
  for (const end = performance.now() + ms; performance.now() < end; steps += 1_000)
    for (let n = 0, x = 1; n < 1_000; n++) x = (x * 16_807) % 2_147_483_647;
  const { user, system } = process.threadCpuUsage(cpu);
  return { steps, cpuMs: (user + system) / 1_000 };
};
burn(20);
parentPort.on('message', (ms) => parentPort.postMessage(burn(ms)));
parentPort.postMessage(undefined);`;

interface Burnt {
  readonly steps: number;
  readonly cpuMs: number;
}

/** Rounds, of which the median counts. */
const ROUNDS = 3;

/**
 * Measures how many cores are ours just now, whatever the machine says: others may be at work on it, two "processors" may
 * be one core, a hypervisor may have sold it twice. As many threads as `detectCpu().affinity` (two at least) burn for a
 * while, and what they get done is divided by what one gets done in as much time of CPU: on a core of its own, a thread
 * counts 1.
 * @param windowMs Milliseconds of a burn, of which there are six. Default 250: longer than the 100 ms over which a quota
 * is kept, or a group that may use one core and a half would seem to have two.
 * @returns cores, a fraction as a rule.
 * @throws InvalidArgumentError
 */
export async function calibrate(windowMs = 250): Promise<number> {
  checkNumber('windowMs', windowMs, 1, 60_000);
  const threads = Math.max(2, detectCpu().affinity);
  const workers = Array.from({ length: threads }, () => new Worker(burner, { eval: true, execArgv: [] }));
  const burn = (worker: Worker) =>
    new Promise<Burnt>((resolve, reject) => {
      worker.once('error', reject);
      worker.once('message', (burnt) => {
        worker.off('error', reject);
        resolve(burnt);
      });
    });
  const burnAll = (some: readonly Worker[]) =>
    Promise.all(
      some.map((worker) => {
        worker.postMessage(windowMs);
        return burn(worker);
      }),
    );
  try {
    await Promise.all(workers.map(burn));
    const measured: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const [alone] = await burnAll(workers.slice(0, 1));
      const together = await burnAll(workers);
      const stepsPerCore = ((alone?.steps ?? 0) / (alone?.cpuMs ?? 0)) * windowMs;
      measured.push(together.reduce((sum, { steps }) => sum + steps, 0) / stepsPerCore);
    }
    return measured.toSorted((a, b) => a - b)[measured.length >> 1] ?? Number.NaN;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
