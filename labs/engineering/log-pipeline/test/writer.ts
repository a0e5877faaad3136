// Logs N lines and is told to go at once: `writer.ts FILE N BUFFER SIGNAL`.
import { Logger } from '#lab';

const [, , path = '', lines = '0', bufferBytes = '0', how = 'SIGTERM'] = process.argv;
if (how === 'once') process.once('SIGTERM', () => setTimeout(() => process.exit(7), 50));
const log = new Logger({ path, service: 'till', bufferBytes: Number(bufferBytes) });
const second = new Logger({ path: `${path}.second`, service: 'till', bufferBytes: Number(bufferBytes) });
for (let n = 0; n < Number(lines); n++) log.info('receipt printed', { n });
second.info('all printed');
if (how === 'exit') {
  process.on('exit', () => log.info('closed'));
  process.exit(0);
}
if (how === 'throw') throw new Error('the till is on fire');
process.kill(process.pid, how === 'SIGKILL' ? 'SIGKILL' : 'SIGTERM');
// The signal comes while the process has something to do.
setInterval(() => {}, 1_000);
