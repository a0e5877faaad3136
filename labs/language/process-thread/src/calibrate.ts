import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import { detectCpu } from './cpu.ts';
import { checkNumber } from './errors.ts';

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

/**
 * Measures how many cores are ours just now: others may be at work, two "processors" may be one core, a hypervisor may have
 * sold it twice. As many threads as `detectCpu().affinity` (two at least) burn for a while, and what they get done is divided
 * by what one gets done in as much time of CPU. The median of three rounds.
 * @param windowMs Milliseconds of a burn, of which there are six. At least 50: CPU time may be told in ticks of 10 ms.
 * Default 250: longer than the 100 ms over which a quota is kept, or one core and a half would seem to be two.
 * @returns cores, a fraction as a rule.
 * @throws InvalidArgumentError
 */
export async function calibrate(windowMs = 250): Promise<number> {
  checkNumber('windowMs', windowMs, 50, 60_000);
  const start = () => new Worker(burner, { eval: true, execArgv: [] });
  const first = start();
  const workers = [first, ...Array.from({ length: Math.max(1, detectCpu().affinity - 1) }, start)];
  const burn = async (worker: Worker): Promise<{ steps: number; cpuMs: number }> => {
    worker.postMessage(windowMs);
    const [burnt] = await once(worker, 'message');
    return burnt;
  };
  try {
    await Promise.all(workers.map((worker) => once(worker, 'message')));
    const measured: number[] = [];
    while (measured.length < 3) {
      const alone = await burn(first);
      const together = await Promise.all(workers.map(burn));
      const stepsPerCore = (alone.steps / alone.cpuMs) * windowMs;
      measured.push(together.reduce((sum, { steps }) => sum + steps, 0) / stepsPerCore);
    }
    return measured.toSorted((a, b) => a - b)[1] ?? Number.NaN;
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}
