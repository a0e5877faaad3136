// A program of the demo: a customer whose film has the whole process killed, and one behind him.
import { Executor, WorkerCrashedError } from '#lab';
import type * as PhotoLab from './photo-lab.ts';

const kind = process.argv[2] === 'process' ? 'process' : 'thread';
const lab = new Executor<typeof PhotoLab>({ file: new URL('./photo-lab.ts', import.meta.url), kind, maxWorkers: 1 });
const [first, second] = [lab.submit('killed', undefined), lab.submit('develop', 2)];
await first.then(null, (error) => error instanceof WorkerCrashedError && console.log(`${error.name}: ${error.signal}`));
console.log(await second);
