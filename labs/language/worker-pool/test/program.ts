// A program that submits work and does nothing else: it must end when the work is done, and not before.
import { Executor } from '#lab';
import type * as PhotoLab from './photo-lab.ts';

const kind = process.argv[2] === 'process' ? 'process' : 'thread';
const lab = new Executor<typeof PhotoLab>({ file: new URL('./photo-lab.ts', import.meta.url), kind, maxWorkers: 2 });
for (const film of [1, 2, 3]) {
  lab.submit('develop', film).then((photo) => console.log(photo));
}
