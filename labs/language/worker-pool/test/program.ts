// A program that submits work and does nothing else: it must end when the work is done, and not before. With `leave` it
// exits in the middle of it.
import { Executor } from '#lab';
import type * as PhotoLab from './photo-lab.ts';

const [, , name, leave] = process.argv;
const kind = name === 'process' ? 'process' : 'thread';
const lab = new Executor<typeof PhotoLab>({ file: new URL('./photo-lab.ts', import.meta.url), kind, maxWorkers: 1 });
if (leave) {
  console.log(await lab.submit('whoAmI', undefined));
  lab.submit('burn', 60_000);
  setImmediate(() => process.exit());
} else {
  for (const ms of [30, 31, 32]) lab.submit('burn', ms).then((burnt) => console.log(burnt));
}
